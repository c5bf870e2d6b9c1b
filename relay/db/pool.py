"""The database as the rest of Relay sees it; with pinned_connection.py all that knows asyncpg.

Every statement is its own transaction, bounded in time. What goes wrong because the database
is not there comes out as DatabaseAway; what it refuses, as StatementFailed.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from typing import Any, TypeVar

import asyncpg
import structlog
import trio
from asyncpg.pool import PoolConnectionProxy

from relay.db.asyncio_thread import Bridge, open_bridge
from relay.db.pinned_connection import Steady
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

RELEASE = 1.0  # seconds the server may take to acknowledge that a statement was cancelled


class StatementFailed(Exception):
    """The database refuses a statement; it did nothing."""


class RowRefused(StatementFailed):
    """It refuses a value in the statement's arguments."""


# What background work waits out and tries again: an outage ends, and so does somebody's repair
# of a table. Streams that stand and what memory knows are worth more than an early end.
UNANSWERED = (DatabaseAway, StatementFailed)


@contextmanager
def _translated() -> Any:
    try:
        yield
    except asyncpg.DataError as error:
        raise RowRefused(str(error)) from error
    except (*_AWAY, asyncio.CancelledError) as error:
        if isinstance(error, ValueError):  # the driver could not encode an argument
            raise RowRefused(str(error)) from error
        log.debug("database_away", error=f"{type(error).__name__}: {error}"[:300])
        raise DatabaseAway() from error
    except asyncpg.PostgresError as error:
        raise StatementFailed(str(error)) from error


class Connection:
    """One connection of its own, for what needs a session: migrations, locks, listening."""

    def __init__(
        self,
        connection: "asyncpg.Connection[Row]",
        bridge: Bridge,
        timeout: float,
    ) -> None:
        self._connection = connection
        self._bridge = bridge
        self._timeout = timeout

    async def execute(self, sql: str, *args: object, timeout: float | None = None) -> None:
        """Run one statement, or without arguments a script of several."""
        with _translated():
            await self._bridge.run(
                partial(self._connection.execute, sql, *args, timeout=timeout or self._timeout)
            )

    async def fetch(self, sql: str, *args: object) -> list[Row]:
        with _translated():
            rows: list[Row] = await self._bridge.run(
                partial(self._connection.fetch, sql, *args, timeout=self._timeout)
            )
            return rows

    async def listen(self, channel: str, heard: Callable[[str], None]) -> trio.Event:
        """Call `heard` with what is notified there from now on; the event says it is over.

        Notifications are announced in their order, in trio's thread. They end with the
        connection, and what was notified meanwhile is gone.
        """
        trio_token, lost = trio.lowlevel.current_trio_token(), trio.Event()

        def hear(_connection: object, _pid: int, _channel: str, payload: object) -> None:
            trio_token.run_sync_soon(heard, str(payload))

        def end(_connection: object) -> None:
            trio_token.run_sync_soon(lost.set)

        async def begin() -> None:
            self._connection.add_termination_listener(end)
            async with asyncio.timeout(self._timeout):
                await self._connection.add_listener(channel, hear)

        with _translated():
            await self._bridge.run(begin)
        return lost


@asynccontextmanager
async def connect(dsn: str, *, timeout: float) -> AsyncIterator[Connection]:
    """A connection for the length of the block. Raises DatabaseAway."""
    async with open_bridge() as bridge, _connected(bridge, dsn, timeout) as connection:
        yield connection


@asynccontextmanager
async def _connected(
    bridge: Bridge, dsn: str, timeout: float, name: str = "relay"
) -> AsyncIterator[Connection]:
    server_settings = {"application_name": name}
    with _translated():
        raw = await bridge.run(
            partial(asyncpg.connect, dsn, timeout=timeout, server_settings=server_settings)
        )
    try:
        yield Connection(raw, bridge, timeout)
    finally:
        # no farewell to wait for: the server notices a closed socket
        with trio.CancelScope(shield=True):
            await bridge.run(_terminate, raw)


class Database:
    """A bounded pool. Every call raises DatabaseAway or StatementFailed, within its timeout."""

    def __init__(
        self, pool: "asyncpg.Pool[Row]", steady: Steady, bridge: Bridge, timeout: float
    ) -> None:
        self._pool = pool
        self._steady = steady
        self._bridge = bridge
        self._timeout = timeout

    @property
    def in_use(self) -> int:
        """Connections busy now."""
        return self._pool.get_size() - self._pool.get_idle_size() + self._steady.busy

    @property
    def open(self) -> int:
        """Connections there are, busy or not."""
        return self._pool.get_size() + self._steady.is_open

    def connection(
        self, dsn: str, name: str, *, timeout: float
    ) -> AbstractAsyncContextManager[Connection]:
        """A connection beside the pool, for what needs a session. Raises DatabaseAway.

        `name` is what the database's own list of connections calls it.
        """
        return _connected(self._bridge, dsn, timeout, name)

    async def fetch(self, sql: str, *args: object) -> list[Row]:
        return await self._run(lambda connection: connection.fetch(sql, *args))

    async def fetch_steadily(self, sql: str, *args: object) -> list[Row]:
        """As `fetch`, for who does it all the time: on a connection kept for that, if free."""
        with _translated():
            return await self._bridge.run(
                self._on_the_steady, lambda connection: connection.fetch(sql, *args)
            )

    async def fetchrow(self, sql: str, *args: object) -> Row | None:
        return await self._run(lambda connection: connection.fetchrow(sql, *args))

    async def fetchval(self, sql: str, *args: object) -> Any:
        return await self._run(lambda connection: connection.fetchval(sql, *args))

    async def execute(self, sql: str, *args: object) -> str:
        """Run one statement; returns its command tag, like `UPDATE 1`."""
        return await self._run(lambda connection: connection.execute(sql, *args))

    async def _run(self, work: Callable[["PoolConnectionProxy[Row]"], Awaitable[T]]) -> T:
        with _translated():
            return await self._bridge.run(self._on_a_connection, work)

    async def _on_the_steady(self, work: Callable[[Any], Awaitable[T]]) -> T:
        if self._steady.busy:
            return await self._on_a_connection(work)
        return await self._steady.run(work, self._timeout)

    async def _on_a_connection(
        self, work: Callable[["PoolConnectionProxy[Row]"], Awaitable[T]]
    ) -> T:
        """One deadline for everything: waiting for a connection, making it, and the work."""
        async with asyncio.timeout(self._timeout) as patience:
            connection = await self._pool.acquire()
            try:
                return await work(connection)
            finally:
                if patience.expired():
                    # a frozen server would not even acknowledge that we gave up
                    connection.terminate()
                await self._pool.release(connection, timeout=RELEASE)


@asynccontextmanager
async def open_database(
    dsn: str, *, connections: int, timeout: float, pooled: bool = False
) -> AsyncIterator[Database]:
    """A pool for the length of the block. Raises DatabaseAway when nobody answers.

    `pooled`: a transaction pooler stands in between, so that no session outlives a statement.
    """
    async with open_bridge() as bridge:
        options = _options(timeout, pooled)
        steady = Steady(partial(asyncpg.connect, dsn, **options))
        with _translated():
            pool = await bridge.run(_create_pool, dsn, connections - 1, options)
        try:
            yield Database(pool, steady, bridge, timeout)
        finally:
            with trio.CancelScope(shield=True):
                await bridge.run(_close, pool, steady)


def _options(timeout: float, pooled: bool) -> dict[str, Any]:
    return {
        "timeout": timeout,
        # the net under Database's own deadline: no statement waits for ever on a frozen server
        "command_timeout": timeout * 2,
        # poolers refuse what they do not know at a start, and forget prepared statements
        "server_settings": {"application_name": "relay", **({} if pooled else {"jit": "off"})},
        "statement_cache_size": 0 if pooled else 100,
    }


async def _create_pool(dsn: str, most: int, options: dict[str, Any]) -> "asyncpg.Pool[Row]":
    return await asyncpg.create_pool(
        dsn,
        min_size=min(2, most),
        max_size=most,
        # statements leave no session state behind, so giving back costs no round trip
        reset=_leave_as_is,
        **options,
    )


async def _close(pool: "asyncpg.Pool[Row]", steady: Steady) -> None:
    """close() waits for busy connections: for a moment, then they are cut."""
    steady.terminate()
    try:
        await asyncio.wait_for(pool.close(), 1)
    except (TimeoutError, *_AWAY):
        pool.terminate()


async def _terminate(connection: "asyncpg.Connection[Row]") -> None:
    connection.terminate()


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
