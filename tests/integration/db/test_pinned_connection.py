"""The connection kept for commits: reused while it works, and never more than one."""

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path

import asyncpg
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from relay.db.pinned_connection import PinnedConnection
from relay.db.pool import Database, RowRefused, connect, open_database
from relay.db.stepped_loop import SteppedLoop
from relay.errors import DatabaseAway
from tests.support.certificates import self_signed
from tests.support.patience import PATIENCE
from tests.support.tls_database import tls_database

PID = "SELECT pg_backend_pid()"
HELD_UP = "SELECT pg_backend_pid() FROM pg_advisory_lock_shared(1)"


@asynccontextmanager
async def holding_up(database_url: str) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """No HELD_UP is answered within the block; what it yields waits until so many wait."""
    async with connect(database_url, timeout=PATIENCE) as other:
        await other.execute("SELECT pg_advisory_lock(1)")

        async def wait(count: int) -> None:
            waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            with trio.fail_after(PATIENCE):
                while len(await other.fetch(waiting)) != count:
                    pass

        yield wait


@asynccontextmanager
async def keeping(
    database_url: str, timeout: float = PATIENCE, *, of_the_kept: float | None = None
) -> AsyncIterator[Database]:
    """A database of three connections, one of which is kept and may have another timeout."""
    async with (
        open_database(database_url, connections=3, timeout=timeout) as database,
        trio.open_nursery() as nursery,
    ):
        database._pinned._timeout = of_the_kept or timeout
        await nursery.start(database.keep_pinned)
        yield database
        nursery.cancel_scope.cancel()


async def pid(database: Database, sql: str = PID) -> int:
    return int((await database.fetch_pinned(sql))[0][0])


async def pid_in_time(database: Database) -> int:
    """The same with a short timeout, on a machine that may be busy."""
    with trio.fail_after(PATIENCE):
        while True:
            try:
                return await pid(database)
            except DatabaseAway:
                pass


async def test_statements_reuse_the_pinned_connection(database_url: str) -> None:
    async with keeping(database_url) as database:
        assert database.open == 2  # the pool's; this one is made when it is wanted
        first = await pid(database)
        assert {await pid(database) for _ in range(5)} == {first}
        assert (database.open, database.in_use) == (3, 0)


async def test_concurrent_statements_borrow_from_the_pool(database_url: str) -> None:
    pids: list[int] = []

    async def ask() -> None:
        pids.append(await pid(database, HELD_UP))

    async with keeping(database_url) as database:
        kept = await pid(database)
        async with trio.open_nursery() as nursery, holding_up(database_url) as waiting:
            for _ in range(3):
                nursery.start_soon(ask)
            await waiting(3)
        assert len(set(pids)) == 3
        assert kept in pids
        assert database.open == 3


async def test_refused_data_keeps_the_connection_and_a_lost_one_fails_one_statement(
    database_url: str,
) -> None:
    async with keeping(database_url) as database:
        first = await pid(database)
        for wrong in ("\x00", 7):  # refused by the server, and by the driver itself
            with pytest.raises(RowRefused):
                await database.fetch_pinned("SELECT $1::text", wrong)
        assert await pid(database) == first
        await database.execute("SELECT pg_terminate_backend($1)", first)
        assert await pid_in_time(database) != first


@pytest.mark.parametrize("tls", [False, True])
async def test_a_statement_fails_at_once_when_the_server_ends_its_connection(
    database_url: str, tmp_path: Path, tls: bool
) -> None:
    async with AsyncExitStack() as opened:
        enter = opened.enter_async_context
        url = await enter(tls_database(database_url, tmp_path)) if tls else database_url
        database = await enter(keeping(url, timeout=PATIENCE * 2))
        waiting = await enter(holding_up(database_url))
        first = await pid(database)

        async def ask() -> None:
            with pytest.raises(DatabaseAway):
                await database.fetch_pinned(HELD_UP)

        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                await waiting(1)
                await database.execute("SELECT pg_terminate_backend($1)", first)


async def test_a_statement_fails_at_once_that_cannot_be_sent(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the connection ends between the look at it and the statement
    monkeypatch.setattr(SteppedLoop, "has_input", lambda _: False)
    async with keeping(database_url, timeout=PATIENCE * 2) as database:
        first = await pid(database)
        await database.execute("SELECT pg_terminate_backend($1, 60000)", first)
        with trio.fail_after(PATIENCE), pytest.raises(DatabaseAway):
            await pid(database)


async def test_an_unresponsive_connection_is_dropped_at_the_deadline(database_url: str) -> None:
    async with keeping(database_url, of_the_kept=1) as database, holding_up(database_url):
        first = await pid_in_time(database)
        with pytest.raises(DatabaseAway):
            await database.fetch_pinned(HELD_UP)
        assert database.in_use == 0
        assert await pid_in_time(database) != first


async def test_while_none_is_kept_statements_borrow_from_the_pool(database_url: str) -> None:
    async with open_database(database_url, connections=3, timeout=PATIENCE) as database:
        async with trio.open_nursery() as nursery:
            await nursery.start(database.keep_pinned)
            await pid(database)
            assert database.open == 3
            nursery.cancel_scope.cancel()
        assert database.open == 2
        assert await pid(database)
        assert database.open == 2


async def test_it_works_over_tls_with_large_statements_and_answers(
    database_url: str, tmp_path: Path
) -> None:
    async with tls_database(database_url, tmp_path) as url, keeping(url) as database:
        first, large = await pid(database), "x" * 2**21
        for text in ("small", large, "small"):
            assert (await database.fetch_pinned("SELECT $1::text", text))[0][0] == text
        assert (await database.fetch_pinned("SELECT repeat('x', $1)", 2**21))[0][0] == large
        assert await pid(database) == first


async def test_a_certificate_that_is_refused_is_an_outage_and_no_fault_of_the_data(
    database_url: str, tmp_path: Path
) -> None:
    (other := tmp_path / "other").mkdir()
    async with tls_database(database_url, tmp_path) as url, keeping(url) as database:
        self_signed(other)
        (other / "cert.pem").rename(tmp_path / "cert.pem")  # what is trusted now
        with pytest.raises(DatabaseAway) as raised:
            await pid(database)
        assert isinstance(raised.value.__cause__, ssl.SSLCertVerificationError)


async def test_a_cancelled_statement_closes_its_connection(database_url: str) -> None:
    async with keeping(database_url) as database, holding_up(database_url) as waiting:
        first = await pid(database)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(database.fetch_pinned, HELD_UP)
            await waiting(1)
            nursery.cancel_scope.cancel()
        assert await pid(database) != first


async def test_a_statement_that_is_run_to_its_end_outlives_its_callers_cancellation(
    database_url: str,
) -> None:
    async with keeping(database_url) as database, AsyncExitStack() as held:
        waiting = await held.enter_async_context(holding_up(database_url))
        first = await pid(database)
        answers: list[int] = []

        async def ask() -> None:
            answers.append((await database.fetch_pinned(HELD_UP, to_end=True))[0][0])
            await trio.lowlevel.checkpoint_if_cancelled()
            answers.append(0)  # not reached

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await waiting(1)
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await waiting(1)  # still
                await held.aclose()
        assert answers == [first]
        assert await pid(database) == first


async def test_a_connection_that_is_open_when_none_is_kept_any_longer_runs_no_statement(
    database_url: str,
) -> None:
    opening, may_open = trio.Event(), threading.Event()

    async def open_late() -> "asyncpg.Connection[asyncpg.Record]":
        opening.set()
        await asyncio.to_thread(may_open.wait)
        return await asyncpg.connect(database_url)

    with closing(PinnedConnection(open_late, timeout=PATIENCE)) as pinned:

        async def ask() -> None:
            with pytest.raises(asyncpg.InterfaceError):
                await pinned.fetch(PID, (), to_end=True)

        async with trio.open_nursery() as nursery:
            await nursery.start(pinned.keep)
            nursery.start_soon(ask)
            await opening.wait()
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await wait_all_tasks_blocked()
            may_open.set()
        assert not pinned.is_open
