"""The queue before the commits: what wakes who takes from it, and when it is over."""

from uuid import UUID, uuid4

import trio
import trio.testing

from relay.db.waiting import Queue, Waiting
from relay.events import NewEvent, utc_now


def queue() -> Queue:
    return Queue(most_events=100, most_bytes=10_000)


def waiting(user_id: UUID) -> Waiting:
    return Waiting(user_id, [NewEvent("id", "type", None, "", "{}", utc_now())])


async def test_what_was_held_back_by_its_users_commit_comes_when_that_has_ended() -> None:
    line, user_id = queue(), uuid4()
    line.put(first := waiting(user_id))
    assert await line.next_batch() == [first]
    line.put(second := waiting(user_id))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_ends, line, [second])
        await trio.testing.wait_all_tasks_blocked()
        line.leave(first)
        line.committed([first])


async def test_it_is_over_when_it_is_closed_and_the_last_has_left() -> None:
    line, user_id = queue(), uuid4()
    line.put(first := waiting(user_id))
    assert await line.next_batch() == [first]
    line.put(second := waiting(user_id))
    line.close()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_ends, line, [])
        await trio.testing.wait_all_tasks_blocked()
        line.leave(second)


async def test_a_commit_that_ends_with_nobody_waiting_wakes_nobody() -> None:
    line = queue()
    line.put(first := waiting(uuid4()))
    assert await line.next_batch() == [first]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(line.next_batch)
        await trio.testing.wait_all_tasks_blocked()
        news = line._news
        line.committed([first])
        line.leave(first)
        assert not news.is_set()
        nursery.cancel_scope.cancel()


async def _ends(line: Queue, batch: list[Waiting]) -> None:
    assert await line.next_batch() == batch
