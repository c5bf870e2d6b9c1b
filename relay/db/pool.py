"""The database interface. Only the modules around it use asyncpg.

Every statement is its own transaction, with a timeout. Errors because the database cannot be
reached are raised as DatabaseAway; errors because it refuses a statement, as StatementFailed.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

import asyncpg
import structlog
import trio
from asyncpg.pool import PoolConnectionProxy

from relay.db.asyncio_thread import Bridge, open_bridge
from relay.db.driver_errors import UNAVAILABLE_ERRORS
from relay.db.pinned_connection import PinnedConnection
from relay.errors import DatabaseAway

T = TypeVar("T")
Row = asyncpg.Record
log = structlog.get_logger("relay.database")

RELEASE_TIMEOUT_SECONDS = 1.0  # for the server to acknowledge that a statement was cancelled


class StatementFailed(Exception):
    """The database refused a statement, which had no effect."""


class RowRefused(StatementFailed):
    """The database or the driver refused a value in the statement's arguments."""


# Background tasks try again after these: outages end, and so does maintenance of a table. Ending
# the process instead would close its streams and lose what it has in memory.
DATABASE_ERRORS = (DatabaseAway, StatementFailed)


class _TranslatedErrors:
    """The driver's errors within a block are raised as this module's."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, _kind: object, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if error is None:
            return
        if isinstance(error, asyncpg.DataError):
            raise RowRefused(str(error)) from error
        if isinstance(error, (*UNAVAILABLE_ERRORS, asyncio.CancelledError)):
            if isinstance(error, ValueError) and not isinstance(error, OSError):  # not encodable
                raise RowRefused(str(error)) from error
            log.debug("database_away", error=f"{type(error).__name__}: {error}"[:300])
            raise DatabaseAway() from error
        if isinstance(error, asyncpg.PostgresError):
            raise StatementFailed(str(error)) from error


_translate_errors = _TranslatedErrors()


class DatabaseConnection:
    """One connection outside the pool, for what needs a session: migrations, locks, LISTEN."""

    def __init__(
        self,
        connection: "asyncpg.Connection[Row]",
        bridge: Bridge,
        timeout: float,
    ) -> None:
        self._connection = connection
        self._bridge = bridge
        self._timeout = timeout
        self._forward: Callable[..., None] | None = None

    async def execute(self, sql: str, *args: object, timeout: float | None = None) -> None:
        """Run one statement, or a script of several if there are no arguments."""
        with _translate_errors:
            await self._bridge.run(
                partial(self._connection.execute, sql, *args, timeout=timeout or self._timeout)
            )

    async def fetch(self, sql: str, *args: object) -> list[Row]:
        with _translate_errors:
            rows: list[Row] = await self._bridge.run(
                partial(self._connection.fetch, sql, *args, timeout=self._timeout)
            )
            return rows

    def receive(self, on_payload: Callable[[str], None], *, on_lost: Callable[[], None]) -> None:
        """Call `on_payload` with each payload of the channels that are listened to, in order.

        `on_lost` is called when the connection ends; later notifications are lost. Both are called
        in trio's thread.
        """
        trio_token = trio.lowlevel.current_trio_token()
        payloads: deque[str] = deque()

        def hand_over() -> None:
            while payloads:
                on_payload(payloads.popleft())

        def forward(_connection: object, _pid: int, _channel: str, payload: object) -> None:
            payloads.append(str(payload))
            trio_token.run_sync_soon(hand_over, idempotent=True)  # once for many

        self._forward = forward
        end = partial(trio_token.run_sync_soon, on_lost)
        self._connection.add_termination_listener(lambda _connection: end())

    async def listen(self, channel: str) -> None:
        """Begin to listen to a channel, after `receive`."""
        await self._change_channel(self._connection.add_listener, channel)

    async def unlisten(self, channel: str) -> None:
        """Listen to a channel no longer."""
        await self._change_channel(self._connection.remove_listener, channel)

    async def _change_channel(self, change: Callable[..., Awaitable[None]], channel: str) -> None:
        async def work() -> None:
            async with asyncio.timeout(self._timeout):
                await change(channel, self._forward)

        with _translate_errors:
            await self._bridge.run(work)


@asynccontextmanager
async def connect(dsn: str, *, timeout: float) -> AsyncIterator[DatabaseConnection]:
    """Open a connection for the length of the block. Raises DatabaseAway."""
    async with open_bridge() as bridge, _connected(bridge, dsn, timeout) as connection:
        yield connection


@asynccontextmanager
async def _connected(
    bridge: Bridge, dsn: str, timeout: float, name: str = "relay"
) -> AsyncIterator[DatabaseConnection]:
    server_settings = {"application_name": name}
    with _translate_errors:
        raw = await bridge.run(
            partial(asyncpg.connect, dsn, timeout=timeout, server_settings=server_settings)
        )
    try:
        yield DatabaseConnection(raw, bridge, timeout)
    finally:
        # Without waiting for a clean end: the server notices the closed socket.
        with trio.CancelScope(shield=True):
            await bridge.run(_terminate, raw)


class Database:
    """A bounded pool of connections.

    Every call ends within `timeout` seconds. It may raise DatabaseAway or StatementFailed.
    """

    def __init__(
        self, pool: "asyncpg.Pool[Row]", pinned: PinnedConnection, bridge: Bridge, timeout: float
    ) -> None:
        self._pool = pool
        self._pinned = pinned
        self._bridge = bridge
        self.timeout = timeout

    @property
    def in_use(self) -> int:
        """The number of connections in use now."""
        return self._pool.get_size() - self._pool.get_idle_size() + self._pinned.is_busy

    @property
    def open(self) -> int:
        """The number of open connections, in use or not."""
        return self._pool.get_size() + self._pinned.is_open

    def connection(
        self, dsn: str, name: str, *, timeout: float
    ) -> AbstractAsyncContextManager[DatabaseConnection]:
        """Open a connection outside the pool, for what needs a session. Raises DatabaseAway.

        `name` is its `application_name` in `pg_stat_activity`.
        """
        return _connected(self._bridge, dsn, timeout, name)

    async def fetch(self, sql: str, *args: object) -> list[Row]:
        return await self._run(lambda connection: connection.fetch(sql, *args))

    async def keep_pinned(
        self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Keep a connection for `fetch_pinned`. Never returns; it is closed by a cancellation."""
        await self._pinned.keep(task_status)

    async def fetch_pinned(self, sql: str, *args: object, to_end: bool = False) -> list[Row]:
        """Like `fetch`, on the pinned connection if that is free.

        `to_end`: once it has begun, a cancellation leaves it alone and is raised afterwards.
        """
        with _translate_errors:
            if self._pinned.is_free:
                return await self._pinned.fetch(sql, args, to_end=to_end)
            run = self._bridge.run_to_end if to_end else self._bridge.run
            return await run(self._on_pool_connection, lambda one: one.fetch(sql, *args))

    async def fetchrow(self, sql: str, *args: object) -> Row | None:
        return await self._run(lambda connection: connection.fetchrow(sql, *args))

    async def fetchval(self, sql: str, *args: object) -> Any:
        return await self._run(lambda connection: connection.fetchval(sql, *args))

    async def execute(self, sql: str, *args: object) -> str:
        """Run one statement; returns its command tag, like `UPDATE 1`."""
        return await self._run(lambda connection: connection.execute(sql, *args))

    async def _run(self, work: Callable[["PoolConnectionProxy[Row]"], Awaitable[T]]) -> T:
        with _translate_errors:
            return await self._bridge.run(self._on_pool_connection, work)

    async def _on_pool_connection(
        self, work: Callable[["PoolConnectionProxy[Row]"], Awaitable[T]]
    ) -> T:
        """Run `work` with one timeout for all: waiting for a connection, opening it, the work."""
        async with asyncio.timeout(self.timeout) as deadline:
            connection = await self._pool.acquire()
            try:
                return await work(connection)
            finally:
                if deadline.expired():
                    # A frozen server would not acknowledge the cancellation either.
                    connection.terminate()
                await self._pool.release(connection, timeout=RELEASE_TIMEOUT_SECONDS)


@asynccontextmanager
async def open_database(
    dsn: str, *, connections: int, timeout: float, pooled: bool = False
) -> AsyncIterator[Database]:
    """Open a pool for the length of the block. Raises DatabaseAway if the database does not answer.

    `pooled`: the connection leads through a transaction pooler, where a session lasts for one
    statement only.
    """
    async with open_bridge() as bridge:
        options = _options(timeout, pooled)
        with _translate_errors:
            pool = await bridge.run(_create_pool, dsn, connections - 1, options)
        # another timer bounds its statements
        connect_pinned = partial(asyncpg.connect, dsn, **{**options, "command_timeout": None})
        try:
            with closing(PinnedConnection(connect_pinned, timeout=timeout)) as pinned:
                yield Database(pool, pinned, bridge, timeout)
        finally:
            with trio.CancelScope(shield=True):
                await bridge.run(_close, pool)


def _options(timeout: float, pooled: bool) -> dict[str, Any]:
    return {
        "timeout": timeout,
        # A second bound, in case the timeout of `Database` does not end a statement.
        "command_timeout": timeout * 2,
        # Poolers refuse unknown startup parameters and do not keep prepared statements.
        "server_settings": {"application_name": "relay", **({} if pooled else {"jit": "off"})},
        "statement_cache_size": 0 if pooled else 100,
    }


async def _create_pool(dsn: str, max_size: int, options: dict[str, Any]) -> "asyncpg.Pool[Row]":
    return await asyncpg.create_pool(
        dsn,
        min_size=min(2, max_size),
        max_size=max_size,
        # Statements leave no session state, so a release needs no reset and no round trip.
        reset=_skip_reset,
        **options,
    )


async def _close(pool: "asyncpg.Pool[Row]") -> None:
    """Close the pool; connections still in use after a second are terminated."""
    try:
        await asyncio.wait_for(pool.close(), 1)
    except (TimeoutError, *UNAVAILABLE_ERRORS):
        pool.terminate()


async def _terminate(connection: "asyncpg.Connection[Row]") -> None:
    connection.terminate()


async def _skip_reset(_connection: "asyncpg.Connection[Row]") -> None:
    pass
