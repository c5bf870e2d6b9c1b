"""A call that waits: until it is ended, its time is over, or its client has gone."""

import trio
from trio.testing import MockClock

from relay.realtime.wait import Wait


async def test_it_ends_when_it_is_ended_before_or_while_it_waits() -> None:
    early, late = Wait(), Wait()
    early.end()
    await early.run(trio.sleep_forever, 25)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(late.run, trio.sleep_forever, 25)
        await trio.testing.wait_all_tasks_blocked()
        late.end()
    late.end()  # after it, this does nothing
    assert (early.is_over, late.is_over) == (True, True)


async def test_it_ends_on_time_and_when_its_client_has_gone(autojump_clock: MockClock) -> None:
    wait, began = Wait(), autojump_clock.current_time()
    await wait.run(trio.sleep_forever, 25)
    assert (autojump_clock.current_time() - began, wait.is_over) == (25, False)
    await wait.run(trio.lowlevel.checkpoint, 25)
    assert not wait.is_over
