"""The database as the rest of Relay sees it. The only file that knows asyncpg and trio-asyncio.

asyncpg speaks asyncio, so its event loop runs inside trio, for as long as its pool is open.
Every call names that loop: the context variable through which trio-asyncio would find it is
inherited by a task's children only, and requests are not children of whoever opened the pool.

Every statement is its own transaction, bounded in time. What goes wrong because the database
is not there comes out as DatabaseAway; what it refuses, as StatementFailed.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import asyncpg
import structlog
import trio
import trio_asyncio
from asyncpg.pool import PoolConnectionProxy

from relay.errors import DatabaseAway

T = TypeVar("T")
Row = asyncpg.Record
log = structlog.get_logger("relay.database")

_AWAY = (
    OSError,
    TimeoutError,
    EOFError,
    ssl.SSLError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # 57: shut down, crashed, starting, cancelled
    asyncpg.InsufficientResourcesError,  # 53: disk full, too many connections
    asyncpg.PostgresSystemError,  # 58: its own input and output fail
    asyncpg.TransactionRollbackError,  # 40: try again
    asyncpg.ReadOnlySQLTransactionError,  # 25006: a standby, for the length of a fail-over
    asyncpg.InvalidAuthorizationSpecificationError,  # 28: who we are changed under us
    asyncpg.InvalidCatalogNameError,  # 3D000: the database itself is gone
)


class StatementFailed(Exception):
    """The database refuses a statement; it did nothing."""


class RowRefused(StatementFailed):
    """It refuses a value in the statement's arguments."""


@asynccontextmanager
async def _event_loop() -> AsyncIterator[asyncio.AbstractEventLoop]:
    async with trio_asyncio.open_loop() as loop:
        # without a handler of ours an orphaned callback's error would end the loop
        loop.set_exception_handler(_report)
        yield loop


def _report(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    log.warning("driver_error", message=context.get("message"), error=repr(error))


@contextmanager
def _translated() -> Any:
    try:
        yield
    except asyncpg.DataError as error:
        raise RowRefused(str(error)) from error
    except _AWAY as error:
        if isinstance(error, ValueError):  # the driver could not encode an argument
            raise RowRefused(str(error)) from error
        log.info("database_away", error=f"{type(error).__name__}: {error}"[:300])
        raise DatabaseAway() from error
    except asyncpg.PostgresError as error:
        raise StatementFailed(str(error)) from error


class Connection:
    """One connection of its own, for what needs a session: migrations, locks, listening."""

    def __init__(
        self,
        connection: "asyncpg.Connection[Row]",
        loop: asyncio.AbstractEventLoop,
        timeout: float,
    ) -> None:
        self._connection = connection
        self._loop = loop
        self._timeout = timeout

    async def execute(self, sql: str, *args: object, timeout: float | None = None) -> None:
        """Run one statement, or without arguments a script of several."""
        with _translated():
            await trio_asyncio.aio_as_trio(self._connection.execute, loop=self._loop)(
                sql, *args, timeout=timeout or self._timeout
            )

    async def fetch(self, sql: str, *args: object) -> list[Row]:
        with _translated():
            rows: list[Row] = await trio_asyncio.aio_as_trio(
                self._connection.fetch, loop=self._loop
            )(sql, *args, timeout=self._timeout)
            return rows


@asynccontextmanager
async def connect(dsn: str, *, timeout: float) -> AsyncIterator[Connection]:
    """A connection for the length of the block. Raises DatabaseAway."""
    async with _event_loop() as loop:
        with _translated():
            raw = await trio_asyncio.aio_as_trio(asyncpg.connect, loop=loop)(
                dsn, timeout=timeout, server_settings={"application_name": "relay"}
            )
        try:
            yield Connection(raw, loop, timeout)
        finally:
            raw.terminate()  # no farewell to wait for: the server notices a closed socket


class Database:
    """A bounded pool. Every call raises DatabaseAway or RowRefused, within its timeout."""

    def __init__(
        self, pool: "asyncpg.Pool[Row]", loop: asyncio.AbstractEventLoop, timeout: float
    ) -> None:
        self._pool = pool
        self._loop = loop
        self._timeout = timeout

    @property
    def in_use(self) -> int:
        """Connections busy now."""
        return self._pool.get_size() - self._pool.get_idle_size()

    async def fetch(self, sql: str, *args: object) -> list[Row]:
        return await self._run(lambda connection: connection.fetch(sql, *args))

    async def fetchrow(self, sql: str, *args: object) -> Row | None:
        return await self._run(lambda connection: connection.fetchrow(sql, *args))

    async def fetchval(self, sql: str, *args: object) -> Any:
        return await self._run(lambda connection: connection.fetchval(sql, *args))

    async def execute(self, sql: str, *args: object) -> str:
        """Run one statement; returns its command tag, like `UPDATE 1`."""
        return await self._run(lambda connection: connection.execute(sql, *args))

    async def _run(self, work: Callable[["PoolConnectionProxy[Row]"], Awaitable[T]]) -> T:
        with _translated():
            result: T = await trio_asyncio.aio_as_trio(self._on_a_connection, loop=self._loop)(work)
            return result

    async def _on_a_connection(
        self, work: Callable[["PoolConnectionProxy[Row]"], Awaitable[T]]
    ) -> T:
        async with self._pool.acquire(timeout=self._timeout) as connection:
            return await work(connection)


@asynccontextmanager
async def open_database(dsn: str, *, connections: int, timeout: float) -> AsyncIterator[Database]:
    """A pool for the length of the block. Raises DatabaseAway when nobody answers."""
    async with _event_loop() as loop:
        with _translated():
            pool = await trio_asyncio.aio_as_trio(_create_pool, loop=loop)(
                dsn, connections, timeout
            )
        try:
            yield Database(pool, loop, timeout)
        finally:
            # close() waits for busy connections: bounded, then cut
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await trio_asyncio.aio_as_trio(pool.close, loop=loop)()
            pool.terminate()


async def _create_pool(dsn: str, connections: int, timeout: float) -> "asyncpg.Pool[Row]":
    return await asyncpg.create_pool(
        dsn,
        min_size=2,
        max_size=connections,
        timeout=timeout,
        # a frozen server would otherwise hold its caller for ever, whatever scope is cancelled
        command_timeout=timeout,
        # statements leave no session state behind, so giving back costs no round trip
        reset=_leave_as_is,
        server_settings={"application_name": "relay", "jit": "off"},
    )


async def _leave_as_is(_connection: "asyncpg.Connection[Row]") -> None:
    pass


async def wait_until_reachable(dsn: str, *, within: float, timeout: float) -> None:
    """Try to connect until it works. Raises DatabaseAway, with its cause, after `within` s."""
    deadline = trio.current_time() + within
    while True:
        try:
            async with connect(dsn, timeout=timeout):
                return
        except DatabaseAway:
            if trio.current_time() >= deadline:
                raise
        await trio.sleep(0.25)
