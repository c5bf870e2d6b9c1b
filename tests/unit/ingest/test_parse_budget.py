"""Batches are parsed in steps of LINES lines, with the loop free in between."""

from itertools import pairwise

import pytest
import trio

from relay.ingest.parse_budget import LINES_PER_PASS, ParseBudget
from tests.support.patience import PATIENCE

BATCHES = 40


@pytest.mark.parametrize("lines", [1, LINES_PER_PASS // 4, LINES_PER_PASS, 5 * LINES_PER_PASS])
async def test_the_loop_waits_for_a_bounded_number_of_lines(lines: int) -> None:
    parse_budget, read, passes = ParseBudget(), 0, [0]

    async def batch() -> None:
        nonlocal read
        await parse_budget.spend(lines)
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
    assert most < 2 * (LINES_PER_PASS + lines)


async def test_a_cancelled_waiter_blocks_no_other() -> None:
    parse_budget = ParseBudget()
    await parse_budget.spend(LINES_PER_PASS)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(parse_budget.spend, 1)
        await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    with trio.fail_after(PATIENCE):
        await parse_budget.spend(1)
