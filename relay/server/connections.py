"""The live connections of one server: the cap, those that wait for a request, the end of all."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from .limits import ConnectionLimits
from .observer import Observer

SWEPT = 50  # waiting connections closed in one turn of the loop: some ten milliseconds of work


class Live(Protocol):
    """A connection, as far as the others are concerned."""

    @property
    def is_idle(self) -> bool:
        """Whether it is between two requests, and nothing of the next one has come."""

    def close(self) -> None:
        """End it, for no request has come."""

    def abort(self) -> None:
        """Drop it at once, whatever it does."""


class Connections:
    """Counts connections, and ends those that wait too long.

    `keep_alive_timeout`: seconds a connection may wait for a request. `nursery` runs what a
    connection leaves to be finished, as it runs the connections themselves.
    """

    def __init__(
        self,
        limits: ConnectionLimits,
        observer: Observer,
        nursery: trio.Nursery,
        *,
        keep_alive_timeout: float,
    ) -> None:
        self._limits = limits
        self._observer = observer
        self._nursery = nursery
        self._keep_alive_timeout = keep_alive_timeout
        self._live: set[Live] = set()
        self._waiting: dict[Live, float] = {}  # until when, in trio's time; the longest one first
        self._refusing = 0
        self._none_may_wait = False
        self._emptied = trio.Event()

    def make_room(self) -> bool:
        """Whether one more may come. At the cap the one that has waited longest has to go.

        Sending nothing is cheap: silent sockets, however many, must not keep others out.
        """
        full = len(self._live) >= self._limits.max_connections
        if full and self._waiting:
            self._close(next(iter(self._waiting)))
            self._observer.connection_displaced()
            return True
        return not full

    def begin_refusal(self) -> bool:
        """Whether one more connection over the cap may be answered; `end_refusal` goes with it."""
        if self._refusing >= self._limits.max_refusals:
            return False
        self._refusing += 1
        return True

    def end_refusal(self) -> None:
        """The connection over the cap was answered."""
        self._refusing -= 1

    def add(self, connection: Live) -> None:
        """Count an admitted connection."""
        self._live.add(connection)
        self._observer.connection_opened()

    def start_waiting(self, connection: Live) -> None:
        """It waits for a request from now on, and not for ever."""
        if self._none_may_wait:
            connection.close()
            return
        self._waiting[connection] = trio.current_time() + self._keep_alive_timeout

    def stop_waiting(self, connection: Live) -> None:
        """A request has come, or will not."""
        self._waiting.pop(connection, None)

    def remove(self, connection: Live) -> None:
        """Count a connection's end."""
        self._waiting.pop(connection, None)
        self._live.remove(connection)
        self._observer.connection_closed()
        if not self._live:
            self._emptied.set()

    def spawn(self, job: Callable[[], Awaitable[None]]) -> None:
        """Run what outlives the call that began it; whatever goes wrong with it ends there."""
        self._nursery.start_soon(self._run, job)

    async def sweep(self) -> None:
        """For ever end those that have waited for a request as long as they may.

        All may wait equally long, so the longest waiting one is the first to go, and no timer of
        its own is needed for each. A crowd is ended a few at a time, with other tasks' turns
        between them.
        """
        while True:
            now = trio.current_time()
            until = now + self._keep_alive_timeout
            for _ in range(SWEPT):
                if not self._waiting:
                    break
                longest, until = next(iter(self._waiting.items()))
                if until > now:
                    break
                self._close(longest)
            await trio.sleep_until(until)

    async def wait_none(self) -> None:
        """Return when there is no live connection."""
        while self._live:
            self._emptied = trio.Event()
            await self._emptied.wait()

    def close_idle(self) -> None:
        """End the connections between two requests.

        One whose request has come already stays, and so does one that waits for its first: a
        client that was let in has its request on the way.
        """
        for connection in [waiting for waiting in self._waiting if waiting.is_idle]:
            self._close(connection)

    def close_waiting(self) -> None:
        """End the connections that wait between two requests, or for their first; now and later."""
        self._none_may_wait = True
        for connection in tuple(self._waiting):
            self._close(connection)

    def abort(self) -> None:
        """Drop all of them. Their writes are shielded: cancelling alone would wait for those."""
        for connection in tuple(self._live):
            connection.abort()

    def _close(self, connection: Live) -> None:
        del self._waiting[connection]
        connection.close()

    async def _run(self, job: Callable[[], Awaitable[None]]) -> None:
        try:
            await job()
        except* Exception as failures:
            self._observer.connection_failed(failures)
