"""Compare what the watchers received with what was sent: every socket, every event."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress

from bench import wire
from bench.generator import Watcher
from bench.marks import MARK, MARK_BYTES, Mark, Verdict, judge, marks

Due = Mapping[int, Mapping[int, range]]  # by user: the numbers sent on each of the user's lanes


_CONTROL = re.compile(rb'\{"type":"tasks?",[^\n]*')
"""What a stream with `tasks=1` gets besides events; a task repeats the message of its last one."""


def hide_controls(watcher: Watcher) -> None:
    """Overwrite the marks in messages about tasks, so that only those of events count.

    The length stays, and with it the time at which each byte arrived.
    """
    if b"tasks=1" not in watcher.request:
        return
    data = watcher.data
    spans: list[tuple[int, int]] = []
    if watcher.sse:
        spans += [found.span() for found in _CONTROL.finditer(data)]
    else:
        with suppress(wire.Malformed):  # the verdict reports it
            for first, start, end in wire.frames(data):
                if first == wire.TEXT and _CONTROL.match(data, start):
                    spans.append((start, end))
    for start, end in spans:
        data[start:end] = MARK.sub(bytes(MARK_BYTES), data[start:end])


def received_marks(watcher: Watcher) -> list[Mark]:
    """The marks in a stream, message by message. Raises Malformed."""
    if not watcher.sse:
        data = watcher.data
        seen: list[Mark] = []
        for message, _ in wire.messages(data):
            seen += marks(message)
        return seen
    content = wire.unchunked(watcher.data) if watcher.chunked else bytes(watcher.data)
    return [found for block in wire.blocks(content) for found in marks(block)]


def judge_all(watchers: Iterable[Watcher], due: Due, refused: Set[Mark] = frozenset()) -> Verdict:
    """The sum over all sockets. The sockets of one user must also agree with each other."""
    verdict = Verdict()
    known: dict[int, tuple[bytearray, list[Mark], Verdict]] = {}
    for watcher in watchers:
        first = known.get(watcher.user)
        if first is not None and watcher.data == first[0]:
            verdict += first[2]  # identical bytes
            continue
        try:
            seen = received_marks(watcher)
        except wire.Malformed:
            verdict.malformed += 1
            seen = marks(watcher.data)
        own = judge(seen, due.get(watcher.user, {}), refused)
        if first is None:
            known[watcher.user] = (watcher.data, seen, own)
        elif seen != first[1]:
            own.inconsistent += 1
        verdict += own
    return verdict


def arrivals(watcher: Watcher) -> Iterator[tuple[Mark, float]]:
    """Each event's mark with the arrival time of its last byte."""
    data = watcher.data
    if watcher.sse:
        for found in MARK.finditer(data):
            end = data.find(b"\n\n", found.end())
            yield (
                (int(found[1]), int(found[2])),
                watcher.arrival_time(end + 2 if end >= 0 else found.end()),
            )
    else:
        for message, end in wire.messages(data):
            for mark in marks(message):
                yield mark, watcher.arrival_time(end)


def last_arrival(watchers: Sequence[Watcher]) -> float:
    """The arrival time of the last event."""
    return max(
        (watcher.arrival_time(end) for watcher in watchers if (end := _last_end(watcher.data)) > 0),
        default=0.0,
    )


def _last_end(data: bytearray) -> int:
    """The end of the last mark, or 0. Searches from the end, in growing steps."""
    back = 1_024
    while True:
        found = list(MARK.finditer(data, max(0, len(data) - back)))
        if found:
            return found[-1].end()
        if back >= len(data):
            return 0
        back *= 8
