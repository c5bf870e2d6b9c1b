"""What waits for the readers of tasks stays within a bound, and the slowest of them pay for it."""

from collections.abc import Iterator
from contextlib import ExitStack
from uuid import UUID

import pytest
from prometheus_client import REGISTRY

from relay.realtime import task_backlogs
from relay.realtime.close_codes import Close
from relay.realtime.inbox import Inbox
from relay.realtime.task_backlogs import MAX_ALL_WAITING_BYTES, TaskBacklog, TaskBacklogs

BUSY, QUIET = UUID(int=1_000), UUID(int=1_001)


class Readers:
    """Streams that ask for tasks, and what waits for them."""

    def __init__(self) -> None:
        self.all = TaskBacklogs()
        self._added: dict[TaskBacklog, Inbox] = {}

    def reader(self, user_id: UUID, size: int = 0) -> TaskBacklog:
        """A reader with a message of so many bytes waiting, if any."""
        inbox = Inbox(user_id)
        backlog = self.all.add(inbox)
        self._added[backlog] = inbox
        if size:
            backlog.put("first", b"x" * size)
        return backlog

    def ended(self, backlog: TaskBacklog) -> Close | None:
        return self._added[backlog].closing

    def leave(self) -> None:
        for backlog, inbox in self._added.items():
            self.all.remove(inbox.user_id, backlog)
        assert self.all.bytes == 0


@pytest.fixture
def readers() -> Iterator[Readers]:
    with ExitStack() as stack:
        found = Readers()
        stack.callback(found.leave)
        yield found


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_backlogs, "MAX_ALL_WAITING_BYTES", 100)


def displaced() -> float:
    return REGISTRY.get_sample_value("relay_task_streams_displaced_total") or 0.0


def test_many_slow_readers_take_no_more_than_the_bound(readers: Readers) -> None:
    """Each has nearly as much waiting as a stream may, while as much is being sent to it."""
    message = b"x" * 20_000
    before, quiet = displaced(), readers.reader(QUIET, 20_000)
    slow = [readers.reader(UUID(int=number)) for number in range(20)]
    sending = []
    for backlog in slow:
        for _ in range(2):
            for number in range(800):
                backlog.put(f"task-{number}", message)
                assert readers.all.bytes <= MAX_ALL_WAITING_BYTES
            messages = backlog.take_each()
            next(messages, None)
            sending.append(messages)
    ended = [backlog for backlog in slow if readers.ended(backlog) is Close.RESTART]
    assert readers.all.bytes == sum(one.bytes for one in [quiet, *slow])
    assert len(ended) == 20 - MAX_ALL_WAITING_BYTES // (801 * 20_000)
    assert displaced() - before == len(ended)
    assert (readers.ended(quiet), list(quiet.take_each())) == (None, [message])


@pytest.mark.usefixtures("small")
def test_the_user_with_most_waiting_loses_the_stream_with_most_of_it(readers: Readers) -> None:
    least, most, quiet = readers.reader(BUSY, 30), readers.reader(BUSY, 31), readers.reader(QUIET)
    quiet.put("build", b"x" * 39)
    assert not any(map(readers.ended, [least, most, quiet]))
    quiet.put("build", b"x" * 40)  # the most of any stream, and less than the other user has
    assert list(map(readers.ended, [least, most, quiet])) == [None, Close.RESTART, None]
    assert (readers.all.bytes, most.bytes) == (70, 0)
    most.put("build", b"x")  # before its reader has left
    assert readers.all.bytes == 70


@pytest.mark.usefixtures("small")
def test_what_is_being_sent_counts_until_it_is_sent(readers: Readers) -> None:
    reader, other = readers.reader(BUSY, 60), readers.reader(QUIET, 40)
    messages = reader.take_each()
    assert (next(messages), bool(reader), readers.all.bytes) == (b"x" * 60, False, 100)
    other.put("second", b"x")
    assert (readers.ended(reader), readers.ended(other)) == (Close.RESTART, None)
    assert list(messages) == []
    assert readers.all.bytes == 41


def test_a_turn_has_the_tasks_that_waited_at_its_beginning(readers: Readers) -> None:
    reader = readers.reader(BUSY, 1)
    reader.put("second", b"old")
    sent = []
    for message in reader.take_each():
        sent.append(message)
        reader.put("first", b"anew")
        reader.put("second" if len(sent) == 1 else "third", b"new")
    assert sent == [b"x", b"new"]
    assert list(reader.take_each()) == [b"anew", b"new"]
    assert not reader
