"""Lets only some readers of events read at a time.

Many that reconnect, or look through long streams, so leave database connections to commits and
lookups.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from relay.errors import DatabaseAway


class ReaderTurns:
    """Places for `readers` statements at a time; the others wait in line, for `timeout` seconds."""

    def __init__(self, readers: int, timeout: float) -> None:
        self._places = trio.CapacityLimiter(readers)
        self._timeout = timeout

    @property
    def waiting(self) -> int:
        """How many readers wait in line."""
        return self._places.statistics().tasks_waiting

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Hold a place for the length of the block. Raises DatabaseAway after the timeout."""
        with trio.move_on_after(self._timeout) as in_line:
            await self._places.acquire()
        if in_line.cancelled_caught:
            raise DatabaseAway()
        try:
            yield
        finally:
            self._places.release()
