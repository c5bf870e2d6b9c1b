"""The live connections of one server, and what they share: the cap, the idle, the end of all."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from .bounds import GuardLimits
from .observer import Observer
from .refusals import Refusals
from .stamp import Stamp

SWEPT = 50  # idle connections ended in one turn of the loop: some ten milliseconds with their tasks


class Live(Protocol):
    """A connection, as far as the others are concerned."""

    idle_until: float

    def close_if_idle(self) -> None: ...

    def abort(self) -> None: ...


class Connections:
    """Who is connected; `nursery` runs what a connection leaves to be finished, as it does them."""

    def __init__(
        self,
        limits: GuardLimits,
        observer: Observer,
        refusals: Refusals,
        stamp: Stamp,
        nursery: trio.Nursery,
    ) -> None:
        self.limits = limits
        self.observer = observer
        self.refusals = refusals
        self.stamp = stamp
        self.refusing = 0
        self._nursery = nursery
        self._live: set[Live] = set()
        self._idle: dict[Live, None] = {}  # those that wait, the longest first
        self._emptied = trio.Event()

    def __len__(self) -> int:
        return len(self._live)

    @property
    def full(self) -> bool:
        return len(self._live) >= self.limits.max_connections

    def make_room(self) -> bool:
        """Whether one more may come. In a full house the one that waits longest has to go.

        Saying nothing is cheap: silent sockets, however many, must not keep others out.
        """
        if self.full and self._idle:
            next(iter(self._idle)).close_if_idle()
            self.observer.connection_displaced()
            return True
        return not self.full

    def add(self, connection: Live) -> None:
        self._live.add(connection)
        self.observer.connection_opened()

    def note_idle(self, connection: Live, idle: bool) -> None:
        """It waits for a request from now on, or no longer does."""
        self._idle.pop(connection, None)
        if idle:
            self._idle[connection] = None

    def remove(self, connection: Live) -> None:
        self._idle.pop(connection, None)
        self._live.remove(connection)
        self.observer.connection_closed()
        if not self._live:
            self._emptied.set()

    def spawn(self, job: Callable[[], Awaitable[None]]) -> None:
        """Run what outlives the call that began it; whatever goes wrong with it ends there."""
        self._nursery.start_soon(self._run, job)

    async def sweep(self, patience: float) -> None:
        """For ever end those that have waited for a request as long as they may.

        All may wait for `patience` seconds, so the longest waiting one is the first to go, and
        no timer of its own is needed for each. A crowd's end comes a few at a time, with everybody
        else's turn between them.
        """
        while True:
            now = trio.current_time()
            until = now + patience
            for _ in range(SWEPT):
                if not self._idle:
                    break
                until = (longest := next(iter(self._idle))).idle_until
                if until > now:
                    break
                longest.close_if_idle()
            await trio.sleep_until(until)

    async def wait_none(self) -> None:
        """Return when there is no live connection."""
        while self._live:
            self._emptied = trio.Event()
            await self._emptied.wait()

    def close_idle(self) -> None:
        """End the connections that wait between two requests, or for their first."""
        for connection in tuple(self._live):
            connection.close_if_idle()

    def abort(self) -> None:
        """Drop all of them. Their writes are shielded: cancelling alone would wait for those."""
        for connection in tuple(self._live):
            connection.abort()

    async def _run(self, job: Callable[[], Awaitable[None]]) -> None:
        try:
            await job()
        except* Exception as failures:
            self.observer.connection_failed(failures)
