"""The core values: new and stored events, receipts, cursors and stream heads.

They are immutable, and made from validated input only.
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
"""What a producer may post."""

NOTE_TYPES = ("task_waiting", "task_answered")
"""What Relay itself writes into a stream: an ask was opened, and an ask has ended."""

MAX_SEQ = 2**63 - 1  # a Postgres bigint
# Up to 19 digits, of which `parse` checks the number; the documents say `CURSOR_PATTERN`.
_CURSOR = re.compile(r"([0-9A-Za-z_-]{1,64})\.(0|[1-9][0-9]{0,18})", re.ASCII)


class NewEvent(msgspec.Struct, frozen=True, gc=False):
    """A validated event that is not stored yet.

    `payload` is JSON text exactly as sent, except that raw CR and LF between tokens are spaces.
    `received_at` is when its request was read, in UTC. `has_generated_id` is true if Relay
    generated the id, which no other event has then.
    """

    id: str
    event_type: str
    task_id: str | None
    ts: str
    payload: str
    received_at: datetime
    has_generated_id: bool = False


class Event(msgspec.Struct, frozen=True, gc=False):
    """A committed event. Seqs are 1, 2, 3 … without holes in each user's stream."""

    epoch: str
    seq: int
    id: str
    event_type: str
    task_id: str | None
    ts: str
    payload: str
    received_at: datetime


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """The journal's result for one event after its commit.

    For a duplicate, `seq` is that of the event stored first.
    """

    id: str
    epoch: str
    seq: int
    duplicate: bool


class Cursor(msgspec.Struct, frozen=True, gc=False):
    """A reader's position: it has every event of this epoch up to and including `seq`."""

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


class StreamHead(msgspec.Struct, frozen=True, gc=False):
    """The ends of a stream: its oldest stored seq and its last seq.

    `oldest` is `last + 1` when no event is stored.
    """

    epoch: str
    oldest: int
    last: int


def new_epoch() -> str:
    """A random id for a stream's numbering: 80 bits, so that a cursor fits no other stream."""
    return secrets.token_hex(10)


def utc_now() -> datetime:
    return datetime.now(UTC)


@lru_cache(maxsize=16)  # all events of one request have the same `received_at`
def rfc3339(moment: datetime) -> str:
    """A UTC moment as RFC 3339 text with milliseconds and `Z`."""
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


def optional_rfc3339(moment: datetime | None) -> str | None:
    """`rfc3339` of a moment that may be missing."""
    return None if moment is None else rfc3339(moment)


def parse_uuid(text: str) -> UUID | None:
    """A UUID in its canonical spelling, or None."""
    try:
        value = UUID(text)
    except ValueError:
        return None
    return value if str(value) == text.lower() else None
