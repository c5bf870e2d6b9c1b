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

IDLE = 300.0  # as in the pool: a gateway may drop an idle connection


class Steady:
    """Runs one statement at a time, on a connection that is opened when there is none."""

    def __init__(self, connect: Callable[[], Awaitable["Raw"]]) -> None:
        self._connect = connect
        self._connection: Raw | None = None
        self._used_at = 0.0
        self.busy = False

    @property
    def is_open(self) -> bool:
        return self._connection is not None and not self._connection.is_closed()

    async def run(self, work: Callable[["Raw"], Awaitable[T]], timeout: float) -> T:
        """Run `work` with the connection. Raises the driver's errors.

        Any error except refused data terminates the connection.
        """
        self.busy, good = True, False
        try:
            async with asyncio.timeout(timeout):
                connection = self._connection = await self._standing()
                result = await work(connection)
            good = True
            return result
        except (asyncpg.DataError, ValueError):  # data refused by the server or by the driver
            good = True
            raise
        finally:
            self.busy, self._used_at = False, time.monotonic()
            if not good:
                self.terminate()

    async def _standing(self) -> "Raw":
        if self._connection is not None and time.monotonic() - self._used_at > IDLE:
            self.terminate()
        if self._connection is None or self._connection.is_closed():
            return await self._connect()
        return self._connection

    def terminate(self) -> None:
        """Close the socket at once; the server notices."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
