"""Track a server's live connections: cap them, time out idle ones, and end all of them."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from .limits import ConnectionLimits
from .observer import Observer

SWEEP_BATCH_SIZE = 50  # idle connections closed in one turn of the loop: some ten ms of work


class ManagedConnection(Protocol):
    """What Connections calls on a connection."""

    @property
    def is_idle(self) -> bool:
        """Whether it is between two requests, and nothing of the next one has come."""

    def close(self) -> None:
        """Close it while it waits for a request."""

    def abort(self) -> None:
        """Reset it at once, whatever it does."""


class Connections:
    """Counts connections, and closes those that wait too long for a request.

    `keep_alive_timeout`: seconds a connection may wait for a request, the first one's with the
    handshake of TLS. `nursery` runs the connections, and the jobs of `spawn`.
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
        self._connections: set[ManagedConnection] = set()
        self._waiting: dict[ManagedConnection, float] = {}  # deadlines, the earliest first
        self._refusing = 0
        self._none_may_wait = False
        self._emptied = trio.Event()

    def make_room(self) -> bool:
        """Whether one more may be added. At the cap, the one that has waited longest is closed.

        Idle sockets cost a client nothing, so they must not keep others out.
        """
        full = len(self._connections) >= self._limits.max_connections
        if full and self._waiting:
            self._close(next(iter(self._waiting)))
            self._observer.connection_displaced()
            return True
        return not full

    def begin_refusal(self) -> bool:
        """Whether one more connection over the cap may be answered. Pairs with `end_refusal`."""
        if self._refusing >= self._limits.max_refusals:
            return False
        self._refusing += 1
        return True

    def end_refusal(self) -> None:
        """Count the end of a refusal."""
        self._refusing -= 1

    def add(self, connection: ManagedConnection) -> None:
        """Count an admitted connection."""
        self._connections.add(connection)
        self._observer.connection_opened()

    def start_waiting(self, connection: ManagedConnection) -> None:
        """Start the keep-alive timeout, or close the connection when the server stops."""
        if self._none_may_wait:
            connection.close()
            return
        self._waiting[connection] = trio.current_time() + self._keep_alive_timeout

    def stop_waiting(self, connection: ManagedConnection) -> None:
        """Stop the keep-alive timeout."""
        self._waiting.pop(connection, None)

    def remove(self, connection: ManagedConnection) -> None:
        """Count a connection's end."""
        self._waiting.pop(connection, None)
        self._connections.remove(connection)
        self._observer.connection_closed()
        if not self._connections:
            self._emptied.set()

    def spawn(self, job: Callable[[], Awaitable[None]]) -> None:
        """Run a job that outlives its caller. Its exceptions are reported to the observer."""
        self._nursery.start_soon(self._run, job)

    async def sweep(self) -> None:
        """Close connections after their keep-alive timeout. Never returns.

        All have the same timeout, so one timer for the earliest deadline is enough. Many are
        closed `SWEEP_BATCH_SIZE` at a time, and other tasks run between.
        """
        while True:
            now = trio.current_time()
            until = now + self._keep_alive_timeout
            for _ in range(SWEEP_BATCH_SIZE):
                if not self._waiting:
                    break
                oldest, until = next(iter(self._waiting.items()))
                if until > now:
                    break
                self._close(oldest)
            await trio.sleep_until(until)

    async def wait_none(self) -> None:
        """Wait until there is no live connection."""
        while self._connections:
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
        """Close the connections that wait for a request, and those that would wait later."""
        self._none_may_wait = True
        for connection in tuple(self._waiting):
            self._close(connection)

    def abort(self) -> None:
        """Reset all connections. Cancelling would wait for their shielded writes."""
        for connection in tuple(self._connections):
            connection.abort()

    def _close(self, connection: ManagedConnection) -> None:
        del self._waiting[connection]
        connection.close()

    async def _run(self, job: Callable[[], Awaitable[None]]) -> None:
        try:
            await job()
        except* Exception as failures:
            self._observer.connection_failed(failures)
