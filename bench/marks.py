"""What goes in and what must come out: numbered events, and the verdict on a socket's bytes.

Every event carries a mark, `@lane-number@`. A lane is what one producer sends to one user, over
one connection, one after the other: its numbers must arrive on each of that user's sockets, each
once, in order, and nowhere else.
"""

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, fields

MARK = re.compile(rb"@(\d{5})-(\d{8})@")
MARK_BYTES = len("@00000-00000000@")
_EVENT = (
    b'{"event_type":"task_progress","ts":"2026-01-31T12:00:00Z","task_id":"build",'
    b'"payload":{"progress":0.42,"message":"@%05d-%%08d@ compiled one more of many files"}}'
)

Mark = tuple[int, int]


@dataclass(slots=True)
class Lane:
    """`head` is its POST's request line and headers, without the length; `user` an index."""

    number: int
    user: int
    head: bytes
    batch: int = 1  # events of one POST; more than one: a line each
    extra: int = 0  # bytes that an event has beyond the usual
    sent: int = 0
    _template: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        event = (_EVENT % self.number).replace(b"files", b"files" + b"." * self.extra)
        body = event if self.batch == 1 else (event + b"\n") * self.batch
        length = len(body % tuple(range(self.batch)))
        head = self.head.replace(b"%", b"%%")
        self._template = head + b"Content-Length: %d\r\n\r\n" % length + body

    def request(self) -> bytes:
        """The next POST; its events count as sent."""
        first = self.sent
        self.sent += self.batch
        return self._template % tuple(range(first, self.sent))

    def last_mark(self) -> bytes:
        return mark(self.number, self.sent - 1)


def mark(lane: int, number: int) -> bytes:
    return b"@%05d-%08d@" % (lane, number)


def marks(data: bytes | bytearray | memoryview) -> list[Mark]:
    return [(int(lane), int(number)) for lane, number in MARK.findall(data)]


@dataclass(slots=True)
class Verdict:
    """What is wrong with deliveries; `right` are the good ones."""

    right: int = 0
    lost: int = 0
    doubled: int = 0
    strayed: int = 0  # on a socket of somebody else
    disordered: int = 0
    malformed: int = 0  # sockets with bytes that are no message
    unlike: int = 0  # sockets with another order than their user's other ones

    @property
    def good(self) -> bool:
        return not any(getattr(self, each.name) for each in fields(self)[1:])

    def __iadd__(self, other: "Verdict") -> "Verdict":
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
        return self

    def __str__(self) -> str:
        wrong = {each.name: getattr(self, each.name) for each in fields(self)[1:]}
        return ", ".join(f"{count} {name}" for name, count in wrong.items() if count) or "all right"


def judge(
    seen: Iterable[Mark], due: Mapping[int, range], refused: Set[Mark] = frozenset()
) -> Verdict:
    """Hold what one socket got, in order, against the numbers due of each of its user's lanes.

    What a server refused may come all the same: it may have been too late to say that it was in.
    """
    verdict = Verdict()
    had: dict[int, set[int]] = {lane: set() for lane in due}
    highest = {lane: numbers.start - 1 for lane, numbers in due.items()}
    for lane, number in seen:
        if lane not in due:
            verdict.strayed += 1
        elif number in had[lane] or number < due[lane].start:
            verdict.doubled += 1
        elif number >= due[lane].stop:
            verdict.strayed += 1  # nobody sent it
        else:
            had[lane].add(number)
            if number < highest[lane]:
                verdict.disordered += 1
            else:
                highest[lane] = number
                verdict.right += 1
    verdict.lost = sum(len(numbers) - len(had[lane]) for lane, numbers in due.items())
    for lane, number in refused:
        if lane in due and number in due[lane] and number not in had[lane]:
            verdict.lost -= 1
    return verdict
