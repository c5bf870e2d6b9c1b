"""The limit on a user's concurrent requests; no user waits for another."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
import trio
import trio.testing

from relay.errors import JournalFull
from relay.ingest.fair_queue import ALONE_AFTER, EVENTS_A_TURN, TURNS, TURNS_ALONE, Turns

End = Callable[[], None]
USER, OTHER = uuid4(), uuid4()


@asynccontextmanager
async def holding(
    turns: Turns, count: int, events: int = 1
) -> AsyncIterator[list[Callable[[], None]]]:
    """So many requests of USER inside their turns, until each one's end is called."""
    ends: list[Callable[[], None]] = []

    async def hold() -> None:
        done = trio.Event()
        async with turns.turn(USER, events):
            ends.append(done.set)
            await done.wait()

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(hold)
        await trio.testing.wait_all_tasks_blocked()
        yield ends
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def company(turns: Turns) -> AsyncIterator[None]:
    """Somebody else who publishes now and then."""

    async def publish() -> None:
        while True:
            async with turns.turn(OTHER, 1):
                await trio.sleep(ALONE_AFTER / 2)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(publish)
        await trio.testing.wait_all_tasks_blocked()
        yield
        nursery.cancel_scope.cancel()


async def test_a_user_has_bounded_concurrency_and_waiters_are_fifo(autojump_clock: object) -> None:
    turns = Turns(patience=5)
    async with holding(turns, TURNS + 3) as inside:
        assert len(inside) == TURNS
        inside[0]()
        await trio.testing.wait_all_tasks_blocked()
        assert len(inside) == TURNS + 1
        async with turns.turn(OTHER, 1000):
            pass  # nobody else waits


async def test_an_only_user_has_a_larger_limit(autojump_clock: object) -> None:
    turns = Turns(patience=5)
    async with holding(turns, 1):
        await trio.sleep(ALONE_AFTER)
        async with holding(turns, TURNS_ALONE + 3) as inside:
            assert len(inside) == TURNS_ALONE - 1  # and the one from before
            async with turns.turn(OTHER, 1):
                pass  # at once, all the same
            for end in inside[:]:  # what is under way ends; what waits is let in two at a time
                end()
            await trio.testing.wait_all_tasks_blocked()
            assert len(inside) == TURNS_ALONE - 1 + TURNS - 1
            await trio.sleep(ALONE_AFTER)
            inside[-1]()
            await trio.testing.wait_all_tasks_blocked()
            assert len(inside) == TURNS_ALONE + 3


async def test_a_large_batch_takes_all_places_and_is_not_starved(autojump_clock: object) -> None:
    turns, order = Turns(patience=5), []

    async def post(name: str, events: int) -> None:
        async with turns.turn(USER, events):
            order.append(name)
            await trio.sleep(1)

    async with company(turns), trio.open_nursery() as nursery:
        for name, events in (("one", 1), ("batch", 1000), ("small", 1), ("small", 1)):
            nursery.start_soon(post, name, events)
            await trio.testing.wait_all_tasks_blocked()
        assert order == ["one"]
        await trio.sleep(1.5)
        assert order == ["one", "batch"]
    assert order == ["one", "batch", "small", "small"]


async def test_a_waiter_times_out_and_leaves_nothing_behind(autojump_clock: object) -> None:
    turns = Turns(patience=5)
    async with company(turns), holding(turns, 1, events=TURNS * EVENTS_A_TURN) as inside:
        started = trio.current_time()
        with pytest.raises(JournalFull):
            async with turns.turn(USER, 1):
                raise AssertionError("no turn was free")
        assert trio.current_time() - started == 5
        with trio.move_on_after(1):
            async with turns.turn(USER, 1):
                raise AssertionError("no turn was free")
        inside[0]()
        await trio.testing.wait_all_tasks_blocked()
        async with turns.turn(USER, 1):
            pass
    assert not turns._lines


async def test_a_cancelled_waiter_passes_its_place_on(autojump_clock: object) -> None:
    turns = Turns(patience=5)
    async with holding(turns, TURNS) as inside, trio.open_nursery() as nursery:
        got = trio.Event()

        async def wait(scope: trio.CancelScope) -> None:
            with scope:
                async with turns.turn(USER, 1):
                    raise AssertionError("it was cancelled")

        async def wait_behind() -> None:
            async with turns.turn(USER, 1):
                got.set()

        scope = trio.CancelScope()
        nursery.start_soon(wait, scope)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(wait_behind)
        await trio.testing.wait_all_tasks_blocked()
        inside[0]()
        scope.cancel()  # admitted or not, it does not keep the turn
        await got.wait()
    assert not turns._lines
