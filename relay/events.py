"""The values Relay is about: what a producer hands in, what the journal stored, where a reader is.

They validate themselves and are frozen: one that exists is valid.
"""

import re
import secrets
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, Self, get_args
from uuid import UUID

import msgspec

from relay.errors import BadCursor

EventType = Literal["task_started", "task_progress", "task_succeeded", "task_failed", "log"]
EVENT_TYPES: tuple[str, ...] = get_args(EventType)

MAX_SEQ = 2**63 - 1  # a Postgres bigint
_CURSOR = re.compile(r"([0-9A-Za-z_-]{1,64})\.(0|[1-9][0-9]{0,18})", re.ASCII)


class NewEvent(msgspec.Struct, frozen=True, gc=False):
    """A validated event on its way into the journal.

    `payload` is JSON text exactly as sent, but for raw CR and LF between tokens (now spaces).
    `received_at` is when its request was read, in UTC. `made`: Relay gave it its id, so that no
    other event can have that.
    """

    id: str
    event_type: str
    task_id: str | None
    ts: str
    payload: str
    received_at: datetime
    made: bool = False


class Event(msgspec.Struct, frozen=True, gc=False):
    """A committed event: immutable, numbered 1, 2, 3 … without holes in its user's stream."""

    epoch: str
    seq: int
    id: str
    event_type: str
    task_id: str | None
    ts: str
    payload: str
    received_at: datetime


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """What the journal answers for one event after its commit.

    For a duplicate, `seq` is the first one's.
    """

    id: str
    epoch: str
    seq: int
    duplicate: bool


class Cursor(msgspec.Struct, frozen=True, gc=False):
    """A position: everything of this epoch up to and including `seq` has been seen."""

    epoch: str
    seq: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `<epoch>.<seq>`. Raises BadCursor."""
        match = _CURSOR.fullmatch(text)
        if match is None or int(match[2]) > MAX_SEQ:
            raise BadCursor()
        return cls(match[1], int(match[2]))

    def __str__(self) -> str:
        return f"{self.epoch}.{self.seq}"


class Head(msgspec.Struct, frozen=True, gc=False):
    """Where a stream stands; `oldest` is `last + 1` when nothing is stored."""

    epoch: str
    oldest: int
    last: int


def new_epoch() -> str:
    """A random mark for a stream: 80 bits, so that nobody's cursor fits another's stream."""
    return secrets.token_hex(10)


def utc_now() -> datetime:
    return datetime.now(UTC)


@lru_cache(maxsize=16)  # all events of a request were received at one moment
def rfc3339(moment: datetime) -> str:
    """A UTC moment as RFC 3339 text with milliseconds and `Z`."""
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


def parse_uuid(text: str) -> UUID | None:
    """A UUID in its canonical spelling, or None."""
    try:
        value = UUID(text)
    except ValueError:
        return None
    return value if str(value) == text.lower() else None
