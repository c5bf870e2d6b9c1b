"""A node that is late is given up; a process that was late itself looks once more first."""

from functools import partial

import pytest
import trio
import trio.testing

from relay.realtime.valkey.late_answers import wait_for_answer


@pytest.mark.parametrize(("elapsed", "found"), [(1.2, False), (1.3, True)])
async def test_only_a_process_that_stood_still_waits_once_more(
    mock_clock: trio.testing.MockClock, elapsed: float, found: bool
) -> None:
    """The time passes while nothing runs here; then the answer comes."""
    answered = trio.Event()
    has_ended = False

    async def wait() -> None:
        nonlocal has_ended
        await wait_for_answer(answered, 1.0, max_stall=0.25)
        has_ended = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(elapsed)
        await trio.testing.wait_all_tasks_blocked()
        assert has_ended is not found
        answered.set()
    assert has_ended


async def test_an_answer_ends_the_wait(mock_clock: trio.testing.MockClock) -> None:
    answered = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(wait_for_answer, answered, 1.0, max_stall=0.25))
        await trio.testing.wait_all_tasks_blocked()
        answered.set()
    assert mock_clock.current_time() == 0.0
