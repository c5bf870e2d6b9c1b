"""A connection that is kept between statements, for a caller that has one after the other.

Acquiring a connection from the driver's pool and releasing it costs as much as a statement, and so
does the way to the driver's thread and back. This connection is in trio's thread.
"""

import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import asyncpg
import trio

from relay.db.stepped_loop import SteppedLoop

if TYPE_CHECKING:
    Raw = asyncpg.Connection[asyncpg.Record]

MAX_IDLE_SECONDS = 300.0  # as in the pool: a gateway may drop an idle connection


class PinnedConnection:
    """Runs one statement at a time, on a connection that is opened when there is none.

    `timeout` is in seconds, for a statement with the opening. `is_free`: `fetch` may be called.
    """

    def __init__(
        self, connect: Callable[[], Coroutine[Any, Any, "Raw"]], *, timeout: float
    ) -> None:
        self._connect = connect
        self._timeout = timeout
        self._loop = SteppedLoop()
        self._connection: Raw | None = None
        self._used_at = 0.0
        self._deadline = 0.0  # of the statement that runs
        self._is_kept = False
        self.is_busy = False

    @property
    def is_open(self) -> bool:
        return self._connection is not None and not self._connection.is_closed()

    @property
    def is_free(self) -> bool:
        return self._is_kept and not self.is_busy

    async def keep(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Allow statements, and end each that takes too long. Never returns.

        All statements may take equally long, so one timer is enough. A cancel scope for each would
        take as long as a tenth of a post.
        """
        self._is_kept = True
        task_status.started()
        try:
            while True:
                now = trio.current_time()
                until = self._deadline if self.is_busy else now + self._timeout
                if until <= now:
                    self.terminate()
                    until = now + self._timeout
                await trio.sleep_until(until)
        finally:
            self._is_kept = False
            self.terminate()

    async def fetch(
        self, sql: str, args: tuple[object, ...], *, to_end: bool
    ) -> "list[asyncpg.Record]":
        """Run a statement while `is_free`. Raises the driver's errors, and TimeoutError.

        Any error except refused data terminates the connection, and so does a cancellation; with
        `to_end`, the statement is left alone and trio raises it at the caller's next checkpoint.
        """
        self.is_busy, is_usable = True, False
        self._deadline = trio.current_time() + self._timeout
        try:
            connection = await self._open_connection(shield=to_end)
            if not self._is_kept:  # since a moment ago: nothing would end the statement
                raise asyncpg.InterfaceError("the connection is not kept any longer")
            rows = await self._loop.finish(connection.fetch(sql, *args), to_end=to_end)
            is_usable = True
            return rows
        except (asyncpg.DataError, ValueError):  # data refused by the server or by the driver
            is_usable = True
            raise
        finally:
            self.is_busy, self._used_at = False, time.monotonic()
            if not is_usable:
                self.terminate()

    async def _open_connection(self, *, shield: bool) -> "Raw":
        if self._loop.has_input():  # mostly the connection's end
            self._loop.step()
        if self._connection is not None and time.monotonic() - self._used_at > MAX_IDLE_SECONDS:
            self.terminate()
        if self._connection is None or self._connection.is_closed():
            with trio.fail_at(self._deadline, shield=shield):
                self._connection = await self._loop.run(self._connect())
        return self._connection

    def terminate(self) -> None:
        """Close the socket at once; the server notices. A statement that runs fails."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
            self._loop.step()
            self._loop.wake()

    def close(self) -> None:
        """End for good."""
        self.terminate()
        self._loop.close()
