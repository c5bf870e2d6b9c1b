"""The limits on a user's concurrent requests and their bodies; no user waits for another."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
import trio
import trio.testing

from relay.errors import JournalFull
from relay.ingest.fair_queue import (
    ALONE_AFTER_SECONDS,
    EVENTS_PER_SLOT,
    SLOTS,
    SLOTS_ALONE,
    UserConcurrencyLimit,
)

End = Callable[[], None]
USER, OTHER = uuid4(), uuid4()
SIZE = 20  # bytes of a body
MAX_BYTES = 1_000


@pytest.fixture
def user_limit() -> Iterator[UserConcurrencyLimit]:
    """A limit, of which nothing is left in use."""
    user_limit = UserConcurrencyLimit(5, MAX_BYTES)
    yield user_limit
    assert not user_limit._queues
    assert user_limit._bytes_left == MAX_BYTES


@asynccontextmanager
async def holding(
    user_limit: UserConcurrencyLimit, count: int, events: int = 1
) -> AsyncIterator[list[Callable[[], None]]]:
    """So many requests of USER inside their turns, until each one's end is called."""
    ends: list[Callable[[], None]] = []

    async def hold() -> None:
        done = trio.Event()
        async with user_limit.slot(USER, events, SIZE):
            ends.append(done.set)
            await done.wait()

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(hold)
        await trio.testing.wait_all_tasks_blocked()
        yield ends
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def company(user_limit: UserConcurrencyLimit) -> AsyncIterator[None]:
    """Another user that publishes now and then."""

    async def publish() -> None:
        while True:
            async with user_limit.slot(OTHER, 1, SIZE):
                await trio.sleep(ALONE_AFTER_SECONDS / 2)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(publish)
        await trio.testing.wait_all_tasks_blocked()
        yield
        nursery.cancel_scope.cancel()


async def test_a_user_has_bounded_concurrency_and_waiters_are_fifo(
    autojump_clock: object, user_limit: UserConcurrencyLimit
) -> None:
    async with holding(user_limit, SLOTS + 3) as inside:
        assert len(inside) == SLOTS
        inside[0]()
        await trio.testing.wait_all_tasks_blocked()
        assert len(inside) == SLOTS + 1
        async with user_limit.slot(OTHER, 1000, SIZE):
            pass  # no other user waits


async def test_an_only_user_has_a_larger_limit(
    autojump_clock: object, user_limit: UserConcurrencyLimit
) -> None:
    async with holding(user_limit, 1):
        await trio.sleep(ALONE_AFTER_SECONDS)
        async with holding(user_limit, SLOTS_ALONE + 3) as inside:
            assert len(inside) == SLOTS_ALONE - 1  # and the one from before
            async with user_limit.slot(OTHER, 1, SIZE):
                pass  # at once, all the same
            for end in inside[:]:  # what is under way ends; what waits is let in two at a time
                end()
            await trio.testing.wait_all_tasks_blocked()
            assert len(inside) == SLOTS_ALONE - 1 + SLOTS - 1
            await trio.sleep(ALONE_AFTER_SECONDS)
            inside[-1]()
            await trio.testing.wait_all_tasks_blocked()
            assert len(inside) == SLOTS_ALONE + 3


async def test_a_large_batch_takes_all_places_and_is_not_starved(
    autojump_clock: object, user_limit: UserConcurrencyLimit
) -> None:
    order: list[str] = []

    async def post(name: str, events: int) -> None:
        async with user_limit.slot(USER, events, SIZE):
            order.append(name)
            await trio.sleep(1)

    async with company(user_limit), trio.open_nursery() as nursery:
        for name, events in (("one", 1), ("batch", 1000), ("small", 1), ("small", 1)):
            nursery.start_soon(post, name, events)
            await trio.testing.wait_all_tasks_blocked()
        assert order == ["one"]
        await trio.sleep(1.5)
        assert order == ["one", "batch"]
    assert order == ["one", "batch", "small", "small"]


async def test_a_waiter_times_out_and_leaves_nothing_behind(
    autojump_clock: object, user_limit: UserConcurrencyLimit
) -> None:
    async with (
        company(user_limit),
        holding(user_limit, 1, events=SLOTS * EVENTS_PER_SLOT) as inside,
    ):
        started = trio.current_time()
        with pytest.raises(JournalFull):
            async with user_limit.slot(USER, 1, SIZE):
                raise AssertionError("no turn was free")
        assert trio.current_time() - started == 5
        with trio.move_on_after(1):
            async with user_limit.slot(USER, 1, SIZE):
                raise AssertionError("no turn was free")
        inside[0]()
        await trio.testing.wait_all_tasks_blocked()
        async with user_limit.slot(USER, 1, SIZE):
            pass


async def test_a_cancelled_waiter_passes_its_place_on(
    autojump_clock: object, user_limit: UserConcurrencyLimit
) -> None:
    async with holding(user_limit, SLOTS) as inside, trio.open_nursery() as nursery:
        got = trio.Event()

        async def wait(scope: trio.CancelScope) -> None:
            with scope:
                async with user_limit.slot(USER, 1, SIZE):
                    raise AssertionError("it was cancelled")

        async def wait_behind() -> None:
            async with user_limit.slot(USER, 1, SIZE):
                got.set()

        scope = trio.CancelScope()
        nursery.start_soon(wait, scope)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(wait_behind)
        await trio.testing.wait_all_tasks_blocked()
        inside[0]()
        scope.cancel()  # admitted or not, it does not keep the turn
        await got.wait()


async def test_bodies_of_a_user_take_as_much_as_is_left_to_all(
    autojump_clock: object, user_limit: UserConcurrencyLimit
) -> None:
    half = MAX_BYTES // 2
    async with holding(user_limit, half // SIZE) as inside:
        assert len(inside) == SLOTS  # the others wait, and count as well
        started = trio.current_time()
        with pytest.raises(JournalFull):
            async with user_limit.slot(USER, 1, 1):
                raise AssertionError("there was no room")
        assert trio.current_time() == started
        async with user_limit.slot(OTHER, 1, half):
            with pytest.raises(JournalFull):
                async with user_limit.slot(uuid4(), 1, 1):
                    raise AssertionError("there was no room")
        async with user_limit.slot(uuid4(), 1, 1):
            pass
