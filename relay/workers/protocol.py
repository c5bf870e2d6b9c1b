"""What a supervisor and its workers tell each other, over pipes that nobody else reads."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from relay.config.parsers import SigningKey
from relay.config.settings import Settings


class Order(msgspec.Struct, frozen=True):
    """Everything a worker needs: one line on its standard input. It holds every secret.

    The pipe stays open behind it for as long as the supervisor lives; its end is the order to go.
    Fields a worker of another version does not know are passed over, missing ones their default.
    """

    number: int
    settings: dict[str, str]
    bind: list[str]
    insecure_bind: list[str]
    others: list[int]  # descriptors that were inherited and are not for this one
    base_url: str
    dsn: str
    direct: str
    keys: tuple[SigningKey, ...]
    database: str
    folder: str | None
    keeps_house: bool
    after: str = ""  # how the one before it went, when it is to replace one


ALL_SERVE = b"all serve\n"
"""What a worker is told behind its order, once, when there is nobody left to wait for."""

BEAT = 1.0
"""Seconds between two signs of life of a worker that serves."""


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a worker says of itself, a line each: that it serves, lives, goes, why it cannot."""

    state: Literal["serving", "alive", "leaving", "failed"]
    reason: str = ""


def spelled_out(environ: Mapping[str, str], chosen: Mapping[str, Any]) -> dict[str, str]:
    """The variables from which `Settings.load`, in another process, makes the same settings.

    Secrets are among them.
    """
    names = {field.name: field.metadata["name"] for field in dataclasses.fields(Settings)}
    known = {*names.values(), "PORT"}
    given = {name: text for name, text in environ.items() if name in known}
    return given | {names[key]: str(it) for key, it in chosen.items() if it is not None}
