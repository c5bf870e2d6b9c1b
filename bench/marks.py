"""Numbered events, and the verdict on what a socket received of them.

Every event contains a mark, `@lane-number@`. A lane is the sequence of events that one producer
sends to one user over one connection. Its numbers must arrive on each socket of that user, each
once and in order, and on no other socket.
"""

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, fields

from bench.shapes import TIDY, Compose, Shape, compose_lines

MARK = re.compile(rb"@(\d{5})-(\d{8})@")
MARK_BYTES = len("@00000-00000000@")

Mark = tuple[int, int]


@dataclass(slots=True)
class Lane:
    """`head` is the POST's request line and headers, without the length; `user` is an index."""

    number: int
    user: int
    head: bytes
    batch: int = 1  # events per POST
    shape: Shape = TIDY
    compose: Compose = compose_lines
    sent: int = 0
    _template: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        body = self.compose(self.shape.template(self.number), self.batch)
        length = len(body % self.shape.values(range(self.batch)))
        head = self.head.replace(b"%", b"%%")
        self._template = head + b"Content-Length: %d\r\n\r\n" % length + body

    def request(self) -> bytes:
        """The next POST; its events then count as sent."""
        first = self.sent
        self.sent += self.batch
        return self._template % self.shape.values(range(first, self.sent))

    def last_mark(self) -> bytes:
        return mark(self.number, self.sent - 1)


def mark(lane: int, number: int) -> bytes:
    return b"@%05d-%08d@" % (lane, number)


def marks(data: bytes | bytearray | memoryview) -> list[Mark]:
    return [(int(lane), int(number)) for lane, number in MARK.findall(data)]


@dataclass(slots=True)
class Verdict:
    """How many deliveries were correct, and how many had which fault."""

    correct: int = 0
    lost: int = 0
    duplicated: int = 0
    misdelivered: int = 0  # on a socket of another user
    reordered: int = 0
    malformed: int = 0  # sockets with invalid messages
    inconsistent: int = 0  # sockets whose order differs from the user's other sockets

    @property
    def good(self) -> bool:
        return not any(getattr(self, each.name) for each in fields(self)[1:])

    def __iadd__(self, other: "Verdict") -> "Verdict":
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
        return self

    def __str__(self) -> str:
        wrong = {each.name: getattr(self, each.name) for each in fields(self)[1:]}
        return (
            ", ".join(f"{count} {name}" for name, count in wrong.items() if count) or "all correct"
        )


def judge(
    seen: Iterable[Mark], due: Mapping[int, range], refused: Set[Mark] = frozenset()
) -> Verdict:
    """Compare what one socket received, in order, with the numbers due on its user's lanes.

    An event of a refused POST may arrive nevertheless: a server may answer with an error after it
    has already stored the event.
    """
    verdict = Verdict()
    had: dict[int, set[int]] = {lane: set() for lane in due}
    highest = {lane: numbers.start - 1 for lane, numbers in due.items()}
    for lane, number in seen:
        if lane not in due:
            verdict.misdelivered += 1
        elif number in had[lane] or number < due[lane].start:
            verdict.duplicated += 1
        elif number >= due[lane].stop:
            verdict.misdelivered += 1  # never sent
        else:
            had[lane].add(number)
            if number < highest[lane]:
                verdict.reordered += 1
            else:
                highest[lane] = number
                verdict.correct += 1
    verdict.lost = sum(len(numbers) - len(had[lane]) for lane, numbers in due.items())
    for lane, number in refused:
        if lane in due and number in due[lane] and number not in had[lane]:
            verdict.lost -= 1
    return verdict
