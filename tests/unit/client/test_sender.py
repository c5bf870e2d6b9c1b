"""What becomes of a request's events, for each answer that there is."""

from collections.abc import Sequence
from typing import Any, cast

import msgspec
import pytest

from relay.client.attempts import IdleAttempts
from relay.client.beats import Beats
from relay.client.credentials import Credentials
from relay.client.outbox import Outbox
from relay.client.post_answers import Answer, NotRelay, Refused, RetryLater, Stored
from relay.client.posting import EventPoster
from relay.client.sender import EventQueue, Sender
from relay.client.spool import Spool

EVENT = {"event_type": "log", "event_id": "e", "payload": {"message": "short"}}
SMALL = msgspec.json.encode(EVENT) + b"\n"
LARGE = msgspec.json.encode({**EVENT, "payload": {"data": "x" * 4_000}}) + b"\n"
STORED = Stored({})
BUSY = RetryLater("Relay is busy")
PROXY = NotRelay(413, "a proxy's limit")
WALL = NotRelay(403, "a wall")
NO_EVENT = Refused("bad_request", "a batch without events")
BAD_EVENT = Refused("invalid", "a bad event")


class ScriptedPoster:
    """Gives the answers of a script, then STORED."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self._answers = list(answers)
        self.posted: list[int] = []  # how many events each request had

    def many(self, lines: Sequence[bytes]) -> Answer:
        self.posted.append(len(lines))
        return self._answers.pop(0) if self._answers else STORED


class Queue(EventQueue):
    def __init__(self, lines: Sequence[bytes]) -> None:
        self.lines = list(lines)

    def head(self, most_lines: int, most_bytes: int) -> list[bytes]:
        return self.lines[:most_lines]

    def drop(self, lines: list[bytes]) -> None:
        assert self.lines[: len(lines)] == lines
        del self.lines[: len(lines)]


def _no_spool() -> Spool:
    raise OSError


def _sender(reported: list[str], stored: list[bytes] | None = None) -> Sender:
    have_stored = (stored if stored is not None else []).extend
    return Sender(
        Outbox(_no_spool), Credentials("http://h", "t"), reported.append, Beats(), have_stored
    )


# the events, the answers, and what is expected: events of each request, events that are left,
# what was reported, and whether the sender goes on
CASES: dict[str, tuple[list[bytes], list[Answer], list[int], int, list[str], bool]] = {
    "stored": ([SMALL] * 3, [STORED], [3], 0, [], True),
    "busy": ([SMALL] * 3, [BUSY], [3], 3, [], True),
    "another program": ([SMALL] * 3, [NotRelay(200, "foreign")], [3], 3, ["foreign"], True),
    "no HTTP": ([LARGE], [NotRelay(0, "foreign")], [1], 1, ["foreign"], True),
    "a bad event alone": ([SMALL], [BAD_EVENT], [1], 0, ["a bad event"], True),
    "a bad event among others": ([SMALL] * 4, [BAD_EVENT, STORED], [4, 2], 2, [], True),
    "a token refused": ([SMALL] * 3, [Refused("invalid_token", "no")], [3], 3, ["no"], False),
    "another refusal": ([SMALL], [Refused("later_code", "no")], [1], 1, ["no"], False),
    "too large together": ([SMALL] * 4, [PROXY, STORED], [4, 2], 2, [], True),
    "too large alone": ([LARGE, SMALL], [PROXY, PROXY], [2, 1], 1, ["a proxy's limit"], True),
    "too large although small": ([SMALL], [PROXY], [1], 1, ["a proxy's limit"], True),
    "blocked together": ([SMALL] * 4, [WALL, STORED], [4, 2], 2, [], True),
    "blocked alone": ([SMALL] * 2, [WALL, WALL, NO_EVENT, WALL], [2, 1, 0, 1], 1, ["a wall"], True),
    "blocked like everything": ([SMALL], [WALL, WALL], [1, 0], 1, ["a wall"], True),
    "blocked no longer": ([SMALL], [WALL, NO_EVENT, STORED], [1, 0, 1], 1, ["a wall"], True),
    "a proxy's login": ([SMALL] * 2, [NotRelay(401, "login")], [2], 2, ["login"], True),
}


@pytest.mark.parametrize("name", CASES)
def test_each_answer_has_its_consequence(name: str) -> None:
    events, answers, posted, left, reports, goes_on = CASES[name]
    reported: list[str] = []
    sender = _sender(reported)
    poster, queue = ScriptedPoster(answers), Queue(events)
    is_done = sender._send(cast("EventPoster", poster), queue, IdleAttempts())
    assert poster.posted == posted
    assert len(queue.lines) == left
    assert reported == reports
    assert sender.trouble.is_final is not goes_on
    assert is_done == (len(queue.lines) < len(events))


def test_the_same_program_is_reported_once_until_relay_takes_events() -> None:
    reported: list[str] = []
    sender = _sender(reported)
    foreign = NotRelay(200, "foreign")
    for answers in ([foreign], [foreign], [STORED], [foreign]):
        poster: Any = ScriptedPoster(answers)
        sender._send(poster, Queue([SMALL]), IdleAttempts())
    assert reported == ["foreign", "foreign"]
    assert sender.trouble.reason == "foreign"


def test_what_relay_has_stored_is_passed_on_and_what_it_refuses_is_not() -> None:
    stored = list[bytes]()
    sender = _sender([], stored)
    for line, answer in ((SMALL, STORED), (LARGE, BAD_EVENT), (LARGE, PROXY)):
        poster: Any = ScriptedPoster([answer])
        assert sender._send(poster, Queue([line]), IdleAttempts())
    assert stored == [SMALL]
