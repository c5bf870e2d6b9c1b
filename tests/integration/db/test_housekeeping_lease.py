"""The lease of housekeeping has one holder, whatever happens at the same time."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
import trio

from relay.db.housekeeping import release_lease, take_lease
from relay.db.pool import Database
from tests.support.databases import database_of, statement

MINUTE = 60.0


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with database_of(database_url) as database:
        yield database


async def takes(database: Database, holder: UUID, *, by_force: bool = False) -> bool:
    return await take_lease(database, holder, seconds=MINUTE, by_force=by_force)


async def test_of_many_that_ask_at_once_one_gets_it_and_keeps_it(database: Database) -> None:
    holders = [uuid4() for _ in range(64)]
    winners: list[UUID] = []

    async def ask(holder: UUID) -> None:
        if await takes(database, holder):
            winners.append(holder)

    for _ in range(3):
        async with trio.open_nursery() as nursery:
            for holder in holders:
                nursery.start_soon(ask, holder)
    assert len(winners) == 3
    assert len(set(winners)) == 1


async def test_a_lease_that_is_over_goes_to_one_of_those_that_ask_at_once(
    database: Database, database_url: str
) -> None:
    first = uuid4()
    assert await takes(database, first)
    await statement(database_url, "UPDATE housekeeping SET expires_at = clock_timestamp()")
    taken: list[bool] = []

    async def ask() -> None:
        taken.append(await takes(database, uuid4()))

    async with trio.open_nursery() as nursery:
        for _ in range(32):
            nursery.start_soon(ask)
    assert sorted(taken) == [False] * 31 + [True]
    assert not await takes(database, first)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE housekeeping SET expires_at = clock_timestamp() - interval '1 second'",
        # the clock was set back since
        "UPDATE housekeeping SET expires_at = clock_timestamp() + interval '1 hour'",
        # Postgres crashed: the table is unlogged
        "TRUNCATE housekeeping",
    ],
    ids=["expired", "clock set back", "empty"],
)
async def test_a_lease_is_free(database: Database, database_url: str, change: str) -> None:
    first, second = uuid4(), uuid4()
    assert await takes(database, first)
    assert not await takes(database, second)
    await statement(database_url, change)
    assert await takes(database, second)
    assert not await takes(database, first)


async def test_a_lease_is_given_back_by_its_holder_alone(database: Database) -> None:
    first, second = uuid4(), uuid4()
    assert await takes(database, first)
    await release_lease(database, second)
    assert not await takes(database, second)
    await release_lease(database, first)
    assert await takes(database, second)


async def test_a_process_that_is_alone_takes_it_by_force(database: Database) -> None:
    first, second = uuid4(), uuid4()
    assert await takes(database, first)
    assert await takes(database, second, by_force=True)
    assert not await takes(database, first)
