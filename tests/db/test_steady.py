"""The connection kept for commits: the same one as long as it is good, and never one too many."""

import pytest
import trio

from relay.db.pool import Database, RowRefused, open_database
from relay.errors import DatabaseAway

PID = "SELECT pg_backend_pid()"
SLOW = "SELECT pg_backend_pid() FROM pg_sleep(0.3)"


async def pid(database: Database, sql: str = PID) -> int:
    return int((await database.fetch_steadily(sql))[0][0])


async def test_it_is_the_same_one_statement_after_statement(database_url: str) -> None:
    async with open_database(database_url, connections=3, timeout=5) as database:
        assert database.open == 2  # the pool's; this one is made when it is wanted
        first = await pid(database)
        assert {await pid(database) for _ in range(5)} == {first}
        assert (database.open, database.in_use) == (3, 0)


async def test_who_comes_while_it_is_in_use_borrows_from_the_pool(database_url: str) -> None:
    pids: list[int] = []

    async def ask() -> None:
        pids.append(await pid(database, SLOW))

    async with open_database(database_url, connections=3, timeout=5) as database:
        kept = await pid(database)
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(ask)
        assert len(set(pids)) == 3
        assert kept in pids
        assert database.open == 3


async def test_refused_data_costs_nothing_and_an_end_costs_one_statement(database_url: str) -> None:
    async with open_database(database_url, connections=3, timeout=5) as database:
        first = await pid(database)
        for wrong in ("\x00", 7):  # refused by the server, and by the driver itself
            with pytest.raises(RowRefused):
                await database.fetch_steadily("SELECT $1::text", wrong)
        assert await pid(database) == first
        await database.execute("SELECT pg_terminate_backend($1)", first)
        with trio.fail_after(5):
            while True:
                try:
                    second = await pid(database)
                    break
                except DatabaseAway:
                    pass
        assert second != first


async def test_one_that_does_not_answer_is_dropped_by_its_deadline(database_url: str) -> None:
    async with open_database(database_url, connections=3, timeout=0.3) as database:
        first = await pid(database)
        with pytest.raises(DatabaseAway):
            await database.fetch_steadily("SELECT pg_sleep(5)")
        assert database.in_use == 0
        assert await pid(database) != first


async def test_a_cancelled_statement_takes_its_connection_along(database_url: str) -> None:
    async with open_database(database_url, connections=3, timeout=5) as database:
        first = await pid(database)
        with trio.move_on_after(0.1) as scope:
            await database.fetch_steadily("SELECT pg_sleep(5)")
        assert scope.cancelled_caught
        assert await pid(database) != first
