"""Finds where a stream starts, from the reader's request and the stream's head. Pure."""

import re
from typing import Literal, Protocol

import msgspec

from relay.errors import BadRequest
from relay.events import Cursor, StreamHead

MAX_LAST = 1000  # events that `last` may ask for: one page of history


class Start(msgspec.Struct, frozen=True):
    """Where the reader asked to start; at most one field is set. None set: the route's default."""

    after: Cursor | None = None
    oldest: bool = False
    last: int | None = None


class TrimmedRange(msgspec.Struct, frozen=True):
    """Events that were trimmed, from seq `first` to seq `last` inclusive."""

    first: int
    last: int


class Position(msgspec.Struct, frozen=True):
    """Where the stream starts: `seq` is the one before the first event to be sent.

    `oldest` and `last` are those of the stream's head at the time of the lookup.
    """

    epoch: str
    seq: int
    oldest: int
    last: int
    resumed: bool
    reason: Literal["epoch", "ahead"] | None = None
    gap: TrimmedRange | None = None

    @property
    def cursor(self) -> str:
        """The cursor just before the first event to be sent."""
        return f"{self.epoch}.{self.seq}"

    @property
    def outcome(self) -> str:
        """The value for the metric's label: epoch, ahead, gap, resumed or fresh."""
        if self.reason is not None:
            return self.reason
        if self.gap is not None:
            return "gap"
        return "resumed" if self.resumed else "fresh"


class Parameters(Protocol):
    """The parameters of a query. `get` may raise BadRequest."""

    def get(self, name: str, /) -> str | None:
        """The parameter's value; None if it is not given."""
        ...


def parse_start(args: Parameters, last_event_id: str | None = None) -> Start:
    """Read the first of `Last-Event-ID`, `lastEventId=`, `after=`, `last=`.

    An empty header `Last-Event-ID` counts as absent, as in the HTML standard. Raises BadCursor for
    any malformed cursor, even one that another overrides, BadRequest for `last` with `after`, and
    what `args.get` raises.
    """
    after, last = args.get("after"), args.get("last")
    if after is not None and last is not None:
        raise BadRequest("`last` and `after` exclude each other: send one of them.")
    starts = [
        Start(after=Cursor.parse(known))
        for known in (last_event_id or None, args.get("lastEventId"))
        if known is not None
    ]
    if after is not None:
        oldest = after == "oldest"
        starts.append(Start(oldest=True) if oldest else Start(after=Cursor.parse(after)))
    if last is not None:
        starts.append(Start(last=parse_count("last", last, MAX_LAST)))
    return starts[0] if starts else Start()


def parse_count(name: str, text: str, maximum: int) -> int:
    """Parse a whole number from 1 to `maximum`. Raises BadRequest."""
    if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or not 1 <= int(text) <= maximum:
        raise BadRequest(f"`{name}` must be a whole number from 1 to {maximum}.")
    return int(text)


def locate(start: Start, head: StreamHead, *, default_oldest: bool = False) -> Position:
    """Compute the position for `start`, with the fields of the `hello` and `gap` messages."""
    before_oldest = head.oldest - 1
    if start.after is not None:
        return _after(start.after, head)
    if start.last is not None:
        return _fresh(head, max(before_oldest, head.last - start.last))
    if start.oldest or default_oldest:
        return _fresh(head, before_oldest)
    return _fresh(head, head.last)


def _after(cursor: Cursor, head: StreamHead) -> Position:
    before_oldest = head.oldest - 1
    if cursor.epoch != head.epoch:
        return Position(head.epoch, before_oldest, head.oldest, head.last, False, "epoch")
    if cursor.seq > head.last:
        return Position(head.epoch, before_oldest, head.oldest, head.last, False, "ahead")
    if cursor.seq < before_oldest:
        gap = TrimmedRange(cursor.seq + 1, before_oldest)
        return Position(head.epoch, before_oldest, head.oldest, head.last, True, gap=gap)
    return Position(head.epoch, cursor.seq, head.oldest, head.last, True)


def _fresh(head: StreamHead, seq: int) -> Position:
    return Position(head.epoch, seq, head.oldest, head.last, False)
