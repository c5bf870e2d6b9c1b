"""What a supervisor and its workers tell each other, over pipes that nobody else reads."""

from typing import Literal

import msgspec

from relay.setting_types import SigningKey


class Order(msgspec.Struct, frozen=True):
    """Everything a worker needs: one line on its standard input. It holds every secret.

    The pipe stays open behind it for as long as the supervisor lives; its end is the order to go.
    Fields a worker of another version does not know are passed over, missing ones their default.
    """

    number: int
    settings: dict[str, str]
    bind: list[str]
    insecure_bind: list[str]
    base_url: str
    dsn: str
    direct: str
    keys: tuple[SigningKey, ...]
    database: str
    folder: str | None
    keeps_house: bool


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a worker says of itself, a line each: that it serves, that it goes, why it cannot."""

    state: Literal["serving", "leaving", "failed"]
    reason: str = ""
