"""The messages between the supervisor and its workers, over pipes."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from relay.config.parsers import SigningKey
from relay.config.settings import Settings


class WorkerConfig(msgspec.Struct, frozen=True):
    """A worker's configuration, secrets included: one line on its standard input.

    The pipe stays open as long as the supervisor lives; its end makes the worker exit. A worker of
    another version ignores unknown fields, and uses the defaults of missing ones. The JSON keeps
    its names: after an upgrade, SIGHUP starts workers of the new version under the old supervisor.
    """

    number: int
    settings: dict[str, str]
    bind: list[str]
    insecure_bind: list[str]
    # inherited descriptors of other workers, to be closed
    other_descriptors: list[int] = msgspec.field(name="others")
    base_url: str
    dsn: str
    direct: str
    keys: tuple[SigningKey, ...]
    database: str
    folder: str | None
    # how the worker that it replaces ended; empty if none
    predecessor_end: str = msgspec.field(name="after", default="")


ALL_SERVING_MESSAGE = b"all serve\n"
"""Sent to each worker after its configuration, once, when all workers serve."""

HEARTBEAT_INTERVAL = 1.0
"""Seconds between two `alive` reports of a worker that serves."""


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """A worker's report to the supervisor, one line each."""

    state: Literal["serving", "alive", "leaving", "failed"]
    reason: str = ""


def settings_environment(
    environ: Mapping[str, str], overrides: Mapping[str, Any]
) -> dict[str, str]:
    """Environment variables from which `Settings.load` makes the same settings. Has secrets."""
    names = {field.name: field.metadata["name"] for field in dataclasses.fields(Settings)}
    known = {*names.values(), "PORT"}
    given = {name: text for name, text in environ.items() if name in known}
    return given | {names[key]: str(it) for key, it in overrides.items() if it is not None}
