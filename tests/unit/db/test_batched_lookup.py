"""A batched lookup: one result each, few queries for many, one failure for all that wait."""

import random

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from relay.db.batched_lookup import (
    MAX_CONCURRENT_QUERIES,
    MAX_KEYS,
    OVERLAP_AFTER_SECONDS,
    BatchedLookup,
)
from relay.errors import DatabaseAway

LOOKUPS, KEYS = 100, 3


class FakeTable:
    """Every number is found under itself, but 0; answers wait for leave."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.leave = trio.Event()
        self.away = False

    async def select(self, keys: list[int]) -> dict[int, int]:
        self.asked.append(keys)
        await self.leave.wait()
        if self.away:
            raise DatabaseAway()
        return {key: key for key in keys if key}


class Crowd:
    """The callers, and the answer to each."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.table = FakeTable()
        self.query = BatchedLookup(self.table.select)
        self.answers: list[int | str | None] = []
        self._nursery = nursery
        nursery.start_soon(self.query.run)

    async def ask(self, *keys: int) -> None:
        for key in keys:
            await self.ask_at_once(key)
            await trio.sleep(2 * OVERLAP_AFTER_SECONDS)

    async def ask_at_once(self, *keys: int) -> None:
        for key in keys:
            self._nursery.start_soon(self._one, key)
            await wait_all_tasks_blocked()

    async def _one(self, key: int) -> None:
        try:
            self.answers.append(await self.query.find(key))
        except DatabaseAway as refused:
            self.answers.append(refused.code)

    async def answer(self) -> None:
        self.table.leave.set()
        await wait_all_tasks_blocked()


@pytest.fixture
def crowd(nursery: trio.Nursery, autojump_clock: object) -> Crowd:
    return Crowd(nursery)


async def test_lookups_during_a_query_share_the_next_one(
    crowd: Crowd, autojump_clock: object
) -> None:
    await crowd.ask(1, 2, 3, 4, 4, 0)
    assert [len(keys) for keys in crowd.table.asked] == [1] * MAX_CONCURRENT_QUERIES
    await crowd.answer()
    assert crowd.table.asked == [[1], [2], [3, 4, 0]]
    assert sorted(map(str, crowd.answers)) == ["1", "2", "3", "4", "4", "None"]


async def test_a_quick_query_is_not_batched(crowd: Crowd, autojump_clock: object) -> None:
    await crowd.ask_at_once(1, 2, 3)
    assert crowd.table.asked == [[1]]
    await crowd.answer()
    assert crowd.table.asked == [[1], [2, 3]]
    assert sorted(map(str, crowd.answers)) == ["1", "2", "3"]


async def test_a_query_holds_a_bounded_number_of_lookups(
    crowd: Crowd, autojump_clock: object
) -> None:
    await crowd.ask(1, 2)
    for key in range(3, MAX_KEYS + 13):
        crowd._nursery.start_soon(crowd._one, key)
    await wait_all_tasks_blocked()
    await crowd.answer()
    assert [len(keys) for keys in crowd.table.asked] == [1, 1, MAX_KEYS, 10]
    assert len(crowd.answers) == MAX_KEYS + 12


async def test_an_outage_fails_the_waiting_lookups_too(
    crowd: Crowd, autojump_clock: object
) -> None:
    crowd.table.away = True
    await crowd.ask(1, 2, 3, 4)
    await crowd.answer()
    assert crowd.answers == ["database_away"] * 4
    crowd.table.away = False
    await crowd.ask(5)
    assert crowd.answers[4:] == [5]


async def test_an_outage_fails_lookups_of_the_same_key_in_and_after_the_query(
    crowd: Crowd, autojump_clock: object
) -> None:
    crowd.table.away = True
    await crowd.ask(1, 1, 1, 2)
    assert crowd.table.asked == [[1], [1]]  # and the third waits
    await crowd.answer()
    assert crowd.answers == ["database_away"] * 4


@pytest.mark.parametrize("seed", range(20))
async def test_each_lookup_is_answered_whichever_queries_fail(
    seed: int, autojump_clock: object
) -> None:
    rng = random.Random(seed)
    answers: list[tuple[int, int | str | None]] = []

    async def select(keys: list[int]) -> dict[int, int]:
        await trio.sleep(rng.uniform(0, 10 * OVERLAP_AFTER_SECONDS))
        if rng.random() < 0.5:
            raise DatabaseAway()
        return {key: key for key in keys}

    query = BatchedLookup(select)

    async def find(key: int, after: float) -> None:
        await trio.sleep(after)
        try:
            answers.append((key, await query.find(key)))
        except DatabaseAway as refused:
            answers.append((key, refused.code))

    async with trio.open_nursery() as queries:
        queries.start_soon(query.run)
        with trio.move_on_after(3600):  # of a clock that jumps
            async with trio.open_nursery() as callers:
                for number in range(LOOKUPS):
                    # drawn here, in one order: trio starts tasks in any
                    callers.start_soon(find, number % KEYS, rng.random())
        queries.cancel_scope.cancel()
    assert len(answers) == LOOKUPS
    assert set(answers) == {(key, found) for key in range(KEYS) for found in (key, "database_away")}


async def test_a_cancelled_lookup_cancels_no_other(crowd: Crowd, autojump_clock: object) -> None:
    await crowd.ask(1, 2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(crowd.query.find, 3)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    await crowd.ask(3)
    await crowd.answer()
    assert sorted(map(str, crowd.answers)) == ["1", "2", "3"]
