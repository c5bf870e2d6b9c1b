"""A call that waits: until it is ended, its time is over, or its client has gone."""

import math

import trio
import trio.testing
from trio.testing import MockClock

from relay.realtime.wait import TICK_SECONDS, Wait, WaitEnd


async def test_it_ends_when_it_is_ended_before_or_while_it_waits() -> None:
    early, late = Wait(), Wait()
    early.end()
    assert await early.run(trio.sleep_forever, 25) is WaitEnd.ENDED
    ends: list[WaitEnd] = []

    async def wait() -> None:
        ends.append(await late.run(trio.sleep_forever, 25))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        late.end()
    late.end()  # after it, this does nothing
    assert (ends, early.is_over, late.is_over) == ([WaitEnd.ENDED], True, True)


async def test_it_ends_on_time_and_when_its_client_has_gone(autojump_clock: MockClock) -> None:
    wait, began = Wait(), autojump_clock.current_time()
    assert await wait.run(trio.sleep_forever, 25) is WaitEnd.TIME_OVER
    assert 25 <= autojump_clock.current_time() - began <= 25 + 2 * TICK_SECONDS
    assert await wait.run(trio.lowlevel.checkpoint, 25) is WaitEnd.CLIENT_LEFT
    assert not wait.is_over


async def test_waits_that_began_within_a_tick_end_together(autojump_clock: MockClock) -> None:
    await trio.sleep_until(math.ceil(trio.current_time() / TICK_SECONDS + 1) * TICK_SECONDS)
    ended_at: list[float] = []

    async def wait() -> None:
        await Wait().run(trio.sleep_forever, 25)
        ended_at.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            await trio.sleep(TICK_SECONDS / 5)
            nursery.start_soon(wait)
    assert len(ended_at) == 3
    assert len(set(ended_at)) == 1


async def test_an_end_counts_although_the_client_has_gone() -> None:
    wait = Wait()

    async def leave() -> None:
        await trio.lowlevel.checkpoint()
        wait.end()

    assert await wait.run(leave, 25) is WaitEnd.ENDED
