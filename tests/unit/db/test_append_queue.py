"""The queue before the commits: what wakes its workers, and when it ends."""

from uuid import UUID, uuid4

import trio
import trio.testing

from relay.db.append_queue import AppendQueue, AppendRequest
from relay.errors import DatabaseAway
from relay.events import NewEvent, utc_now

TIMEOUT = 5.0


def queue() -> AppendQueue:
    return AppendQueue(max_events=100, max_bytes=10_000, timeout=TIMEOUT)


def wait_in(line: AppendQueue, user_id: UUID) -> AppendRequest:
    one = AppendRequest(user_id, [NewEvent("id", "type", None, "", "{}", utc_now())])
    line.reserve(one)
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
        line.release(first)
        line.finish([first])
    assert line.take() == [second]


async def test_the_queue_ends_when_closed_and_empty() -> None:
    line, user_id = queue(), uuid4()
    first = wait_in(line, user_id)
    assert line.take() == [first]
    second = wait_in(line, user_id)
    line.close()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_is_ready, line, False)
        line.release(second)
        await trio.testing.wait_all_tasks_blocked()
        assert nursery.child_tasks  # the first is still being committed
        line.finish([first])


async def test_a_commit_that_ends_with_an_empty_queue_wakes_no_worker() -> None:
    line = queue()
    first = wait_in(line, uuid4())
    assert line.take() == [first]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(line.wait_for_batch)
        await trio.testing.wait_all_tasks_blocked()
        news = line._changed
        line.finish([first])
        line.release(first)
        assert not news.is_set()
        nursery.cancel_scope.cancel()


async def test_a_request_taken_alone_holds_back_its_user_until_committed() -> None:
    line, user_id = queue(), uuid4()
    alone = AppendRequest(user_id, [NewEvent("id", "type", None, "", "{}", utc_now())])
    line.reserve(alone)
    assert line.is_idle
    assert line.take_single(alone) == [alone]
    assert not line.is_idle
    wait_in(line, user_id)
    other = wait_in(line, uuid4())
    assert line.take() == [other]


async def test_each_request_fails_at_its_own_deadline_if_no_commit_ends_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    line, failed = queue(), list[tuple[str, float]]()

    async def wait(name: str, after: float) -> None:
        await trio.sleep(after)
        request = wait_in(line, uuid4())
        await request.done.wait()
        assert isinstance(request.problem, DatabaseAway)
        failed.append((name, trio.current_time()))
        line.release(request)

    async with trio.open_nursery() as timers:
        timers.start_soon(line.expire)
        async with trio.open_nursery() as requests:
            for name, after in (("first", 1.0), ("second", 1.0), ("third", 4.0), ("last", 30.0)):
                requests.start_soon(wait, name, after)
        timers.cancel_scope.cancel()
    assert sorted(failed) == [("first", 6.0), ("last", 35.0), ("second", 6.0), ("third", 9.0)]
    assert (line.events, line.bytes, line.is_idle) == (0, 0, True)


async def test_an_outcome_in_time_is_kept_and_a_failed_request_is_not_committed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    line = queue()
    committed = wait_in(line, uuid4())
    assert line.take() == [committed]
    committed.done.set()  # its task has not run yet
    late = wait_in(line, uuid4())
    with trio.move_on_after(TIMEOUT + 1):
        await line.expire()
    assert committed.problem is None
    assert isinstance(late.problem, DatabaseAway)
    assert line.take() == []


async def test_requests_that_no_commit_will_take_fail_together() -> None:
    line, user_id = queue(), uuid4()
    requests = [wait_in(line, user_id) for _ in range(3)]
    assert line.take() == requests
    line.fail_all()
    assert [type(request.problem) for request in requests] == [DatabaseAway] * 3
    assert all(request.done.is_set() for request in requests)


async def _is_ready(line: AppendQueue, expected: bool) -> None:
    assert await line.wait_for_batch() is expected
