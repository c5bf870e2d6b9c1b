"""Receives notifications: LISTEN on a connection of its own, which is replaced when it fails.

LISTEN ends with its connection, and notifications sent meanwhile are lost. So the connection is
probed and replaced when it fails, and the caller is notified each time LISTEN begins again.
"""

import random
from collections.abc import Callable

import structlog
import trio

from relay.db.pool import DATABASE_ERRORS, Database, DatabaseConnection
from relay.observability import backplane_metrics

APPLICATION_NAME = "relay listening"
PROBE_INTERVAL = 2.0  # seconds; a broken network path does not close the connection
ANSWER_TIMEOUT_SECONDS = 2.0  # for the answer to a probe, and for a new connection
RETRY_SECONDS = 0.1, 2.0  # between two tries to connect, at first and at most

log = structlog.get_logger("relay.database")


class Listener:
    """Listens to `channel`, and to those that are added, while `run` runs."""

    def __init__(self, database: Database, dsn: str, channel: str) -> None:
        self._database = database
        self._dsn = dsn
        self._channel = channel
        self._wanted: dict[str, trio.Event] = {}  # set while LISTEN stands
        self._leaving: set[str] = set()
        self._connected = False
        self._late = False  # whether a caller did not wait until LISTEN stood
        self._woken = trio.Event()

    @property
    def channels(self) -> set[str]:
        """The channels that were added."""
        return set(self._wanted)

    async def add(self, channel: str, *, within: float) -> None:
        """Listen to one more channel, and wait until LISTEN stands, for `within` seconds at most.

        Without a connection it returns at once. `on_listening` is called later if it returned
        before LISTEN stood.
        """
        standing = self._wanted.get(channel)
        if standing is None:
            standing = self._wanted[channel] = trio.Event()
            self._leaving.discard(channel)
            self._woken.set()
        if standing.is_set() or not self._connected:
            return
        with trio.move_on_after(within):
            await standing.wait()
            return
        self._late = True

    def remove(self, channel: str) -> None:
        """Listen no longer to a channel that was added."""
        if self._wanted.pop(channel, None) is not None:
            self._leaving.add(channel)
            self._woken.set()

    async def run(
        self,
        *,
        on_payload: Callable[[str], None],
        on_listening: Callable[[], None],
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Call `on_payload` with each payload, and `on_listening` when some may have been missed.

        Neither may raise. Runs until cancelled. It counts as started after the first try to
        connect, even if that failed.
        """
        pause, outage, starting = RETRY_SECONDS[0], False, True
        while True:
            try:
                async with self._database.connection(
                    self._dsn, APPLICATION_NAME, timeout=ANSWER_TIMEOUT_SECONDS
                ) as connection:
                    connection.receive(on_payload, on_lost=self._on_lost)
                    await connection.listen(self._channel)
                    self._connected = self._late = True
                    await self._apply_changes(connection, on_listening)
                    backplane_metrics.up.set(1)
                    if not starting:
                        backplane_metrics.reconnects.inc()
                        log.warning("listening_again")
                    else:
                        task_status.started()
                    pause, outage, starting = RETRY_SECONDS[0], False, False
                    await self._serve(connection, on_listening)
            except DATABASE_ERRORS as error:
                if not outage:  # logged once for each outage
                    log.warning("not_listening", error=repr(error.__cause__)[:300])
                outage = True
            finally:
                self._forget_connection()
            if starting:
                task_status.started()
                starting = False
            await trio.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(pause * 2, RETRY_SECONDS[1])

    def _on_lost(self) -> None:
        """Have `_serve` notice that the connection has ended, by a statement that fails."""
        self._connected = False
        self._woken.set()

    def _forget_connection(self) -> None:
        backplane_metrics.up.set(0)
        backplane_metrics.channels.set(0)
        self._connected = False
        self._leaving.clear()
        self._wanted = {channel: trio.Event() for channel in self._wanted}

    async def _serve(
        self, connection: DatabaseConnection, on_listening: Callable[[], None]
    ) -> None:
        """Apply changes and probe until the connection fails. Raises DatabaseAway then."""
        while True:
            with trio.move_on_after(PROBE_INTERVAL) as quiet:
                await self._woken.wait()
            self._woken = trio.Event()
            if quiet.cancelled_caught or not self._connected:
                await connection.fetch("SELECT 1")
                self._connected = True  # what ended was the connection before
            await self._apply_changes(connection, on_listening)

    async def _apply_changes(
        self, connection: DatabaseConnection, on_listening: Callable[[], None]
    ) -> None:
        """Begin and end LISTEN as asked for, until nothing is left to do."""
        while todo := self._leaving or [
            channel for channel, standing in self._wanted.items() if not standing.is_set()
        ]:
            for channel in list(todo):
                if channel in self._leaving:
                    self._leaving.discard(channel)
                    await connection.unlisten(channel)
                elif (standing := self._wanted.get(channel)) is not None:
                    await connection.listen(channel)
                    standing.set()
        backplane_metrics.channels.set(len(self._wanted))
        if self._late:
            self._late = False
            on_listening()
