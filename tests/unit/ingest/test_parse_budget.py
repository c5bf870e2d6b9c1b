"""Batches are parsed in steps of LINES lines, with the loop free in between."""

from itertools import pairwise

import pytest
import trio

from relay.ingest.pacing import LINES, Pace
from tests.support.patience import PATIENCE

BATCHES = 40


@pytest.mark.parametrize("lines", [1, LINES // 4, LINES, 5 * LINES])
async def test_the_loop_waits_for_a_bounded_number_of_lines(lines: int) -> None:
    pace, read, passes = Pace(), 0, [0]

    async def batch() -> None:
        nonlocal read
        await pace.keep(lines)
        read += lines

    async with trio.open_nursery() as nursery:
        for _ in range(BATCHES):
            nursery.start_soon(batch)
        while read < BATCHES * lines:
            await trio.lowlevel.checkpoint()
            passes.append(read)
            assert len(passes) < 20 * BATCHES
    # a pass in which one more was let in than there was room for, and its neighbour
    most = max(after - before for before, after in pairwise(passes))
    assert most < 2 * (LINES + lines)


async def test_a_cancelled_waiter_blocks_no_other() -> None:
    pace = Pace()
    await pace.keep(LINES)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pace.keep, 1)
        await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    with trio.fail_after(PATIENCE):
        await pace.keep(1)
