"""The queue before the commits: what wakes its workers, and when it ends."""

from uuid import UUID, uuid4

import trio
import trio.testing

from relay.db.append_queue import Queue, Waiting
from relay.events import NewEvent, utc_now


def queue() -> Queue:
    return Queue(most_events=100, most_bytes=10_000)


def wait_in(line: Queue, user_id: UUID) -> Waiting:
    one = Waiting(user_id, [NewEvent("id", "type", None, "", "{}", utc_now())])
    line.enter(one)
    line.put(one)
    return one


async def test_a_request_held_back_by_its_users_commit_follows_it() -> None:
    line, user_id = queue(), uuid4()
    first = wait_in(line, user_id)
    assert line.take() == [first]
    second = wait_in(line, user_id)
    assert line.take() == []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_is_ready, line, True)
        await trio.testing.wait_all_tasks_blocked()
        line.leave(first)
        line.committed([first])
    assert line.take() == [second]


async def test_the_queue_ends_when_closed_and_empty() -> None:
    line, user_id = queue(), uuid4()
    first = wait_in(line, user_id)
    assert line.take() == [first]
    second = wait_in(line, user_id)
    line.close()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_is_ready, line, False)
        line.leave(second)
        await trio.testing.wait_all_tasks_blocked()
        assert nursery.child_tasks  # the first is still being committed
        line.committed([first])


async def test_a_commit_that_ends_with_an_empty_queue_wakes_no_worker() -> None:
    line = queue()
    first = wait_in(line, uuid4())
    assert line.take() == [first]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(line.ready)
        await trio.testing.wait_all_tasks_blocked()
        news = line._news
        line.committed([first])
        line.leave(first)
        assert not news.is_set()
        nursery.cancel_scope.cancel()


async def test_a_request_taken_alone_holds_back_its_user_until_committed() -> None:
    line, user_id = queue(), uuid4()
    alone = Waiting(user_id, [NewEvent("id", "type", None, "", "{}", utc_now())])
    line.enter(alone)
    assert line.idle
    assert line.take_alone(alone) == [alone]
    assert not line.idle
    wait_in(line, user_id)
    other = wait_in(line, uuid4())
    assert line.take() == [other]


async def _is_ready(line: Queue, expected: bool) -> None:
    assert await line.ready() is expected
