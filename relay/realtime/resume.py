"""Where a stream starts: what a reader asked for, against what its stream still holds. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from relay.errors import BadRequest
from relay.events import Cursor, Head

MAX_LAST = 1000  # events `last` may ask for: a page of history, not an archive


@dataclass(frozen=True, slots=True)
class Start:
    """What was asked for; at most one is set. All unset: the door's own default."""

    after: Cursor | None = None
    oldest: bool = False
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Events that are gone: both seqs inclusive."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Position:
    """Where the stream goes on: `seq` is the one just before the first event to be sent.

    `oldest` and `last` are the stream's, when it was looked at.
    """

    epoch: str
    seq: int
    oldest: int
    last: int
    resumed: bool
    reason: Literal["epoch", "ahead"] | None = None
    gap: Gap | None = None

    @property
    def cursor(self) -> str:
        """The cursor that stands just before the first event to be sent."""
        return f"{self.epoch}.{self.seq}"

    @property
    def outcome(self) -> str:
        """One word of a closed list, for the metric."""
        if self.reason is not None:
            return self.reason
        if self.gap is not None:
            return "gap"
        return "resumed" if self.resumed else "fresh"


def parse_start(args: Mapping[str, str], last_event_id: str | None = None) -> Start:
    """The first of `Last-Event-ID`, `lastEventId=`, `after=`, `last=`. Raises BadCursor.

    What is malformed is refused, also where something else goes before it. `last` with `after`
    contradicts itself: BadRequest. An empty `Last-Event-ID` is none, as in the HTML standard.
    """
    after, last = args.get("after"), args.get("last")
    if after is not None and last is not None:
        raise BadRequest("`last` and `after` are two different places to start; give one.")
    starts = [
        Start(after=Cursor.parse(known))
        for known in (last_event_id, args.get("lastEventId"))
        if known
    ]
    if after is not None:
        oldest = after == "oldest"
        starts.append(Start(oldest=True) if oldest else Start(after=Cursor.parse(after)))
    if last is not None:
        starts.append(Start(last=parse_count("last", last, MAX_LAST)))
    return starts[0] if starts else Start()


def parse_count(name: str, text: str, most: int) -> int:
    """A whole number from 1 to `most`. Raises BadRequest."""
    if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or not 1 <= int(text) <= most:
        raise BadRequest(f"`{name}` must be a whole number from 1 to {most}.")
    return int(text)


def locate(start: Start, head: Head, *, default_oldest: bool = False) -> Position:
    """Where a reader that asked for `start` goes on, with what `hello` and `gap` say of it."""
    before_oldest = head.oldest - 1
    if start.after is not None:
        return _after(start.after, head)
    if start.last is not None:
        return _fresh(head, max(before_oldest, head.last - start.last))
    if start.oldest or default_oldest:
        return _fresh(head, before_oldest)
    return _fresh(head, head.last)


def _after(cursor: Cursor, head: Head) -> Position:
    before_oldest = head.oldest - 1
    if cursor.epoch != head.epoch:
        return Position(head.epoch, before_oldest, head.oldest, head.last, False, "epoch")
    if cursor.seq > head.last:
        return Position(head.epoch, before_oldest, head.oldest, head.last, False, "ahead")
    if cursor.seq < before_oldest:
        gap = Gap(cursor.seq + 1, before_oldest)
        return Position(head.epoch, before_oldest, head.oldest, head.last, True, gap=gap)
    return Position(head.epoch, cursor.seq, head.oldest, head.last, True)


def _fresh(head: Head, seq: int) -> Position:
    return Position(head.epoch, seq, head.oldest, head.last, False)
