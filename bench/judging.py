"""What watchers got, held against what was sent: every socket, every event."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from bench import wire
from bench.generator import Watcher
from bench.marks import MARK, Mark, Verdict, judge, marks

Due = Mapping[int, Mapping[int, range]]  # by user: of each of their lanes, the numbers sent


def told(watcher: Watcher) -> list[Mark]:
    """The marks of what a stream said, message by message. Raises Malformed."""
    if not watcher.sse:
        data = watcher.data
        seen: list[Mark] = []
        for start, end in wire.messages(data):
            seen += marks(data[start:end])
        return seen
    content = wire.unchunked(watcher.data) if watcher.chunked else bytes(watcher.data)
    return [found for block in wire.blocks(content) for found in marks(block)]


def judge_all(watchers: Iterable[Watcher], due: Due, refused: Set[Mark] = frozenset()) -> Verdict:
    """The sum over all sockets. A user's sockets must agree with each other, too."""
    verdict = Verdict()
    known: dict[int, tuple[bytearray, list[Mark], Verdict]] = {}
    for watcher in watchers:
        first = known.get(watcher.user)
        if first is not None and watcher.data == first[0]:
            verdict += first[2]  # byte for byte the same
            continue
        try:
            seen = told(watcher)
        except wire.Malformed:
            verdict.malformed += 1
            seen = marks(watcher.data)
        own = judge(seen, due.get(watcher.user, {}), refused)
        if first is None:
            known[watcher.user] = (watcher.data, seen, own)
        elif seen != first[1]:
            own.unlike += 1
        verdict += own
    return verdict


def arrivals(watcher: Watcher) -> Iterator[tuple[Mark, float]]:
    """When each event was there to its last byte."""
    data = watcher.data
    if watcher.sse:
        for found in MARK.finditer(data):
            end = data.find(b"\n\n", found.end())
            yield (int(found[1]), int(found[2])), watcher.came(end + 2 if end >= 0 else found.end())
    else:
        for start, end in wire.messages(data):
            for mark in marks(data[start:end]):
                yield mark, watcher.came(end)


def last_arrival(watchers: Sequence[Watcher]) -> float:
    """When the last event of all was there."""
    return max(
        (watcher.came(end) for watcher in watchers if (end := _last_end(watcher.data)) > 0),
        default=0.0,
    )


def _last_end(data: bytearray) -> int:
    """Where the last mark ends; marks are sought from the end, further and further back."""
    back = 1_024
    while True:
        found = list(MARK.finditer(data, max(0, len(data) - back)))
        if found:
            return found[-1].end()
        if back >= len(data):
            return 0
        back *= 8
