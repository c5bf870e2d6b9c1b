"""A connection that is kept between statements, for a caller that has one after the other.

Acquiring a connection from the driver's pool and releasing it costs as much as a statement.
Everything here runs in the driver's event loop, so no lock is needed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import asyncpg

if TYPE_CHECKING:
    Raw = asyncpg.Connection[asyncpg.Record]
T = TypeVar("T")

MAX_IDLE_SECONDS = 300.0  # as in the pool: a gateway may drop an idle connection


class PinnedConnection:
    """Runs one statement at a time, on a connection that is opened when there is none."""

    def __init__(self, connect: Callable[[], Awaitable["Raw"]]) -> None:
        self._connect = connect
        self._connection: Raw | None = None
        self._used_at = 0.0
        self.is_busy = False

    @property
    def is_open(self) -> bool:
        return self._connection is not None and not self._connection.is_closed()

    async def run(self, work: Callable[["Raw"], Awaitable[T]], timeout: float) -> T:
        """Run `work` with the connection. Raises the driver's errors.

        Any error except refused data terminates the connection.
        """
        self.is_busy, keep = True, False
        try:
            async with asyncio.timeout(timeout):
                connection = self._connection = await self._open_connection()
                result = await work(connection)
            keep = True
            return result
        except (asyncpg.DataError, ValueError):  # data refused by the server or by the driver
            keep = True
            raise
        finally:
            self.is_busy, self._used_at = False, time.monotonic()
            if not keep:
                self.terminate()

    async def _open_connection(self) -> "Raw":
        if self._connection is not None and time.monotonic() - self._used_at > MAX_IDLE_SECONDS:
            self.terminate()
        if self._connection is None or self._connection.is_closed():
            return await self._connect()
        return self._connection

    def terminate(self) -> None:
        """Close the socket at once; the server notices."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
