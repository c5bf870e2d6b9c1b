"""Updates this process's gauges once a second, so that a scrape of one worker has those of all."""

import os
import resource
import time
from contextlib import suppress
from pathlib import Path

import trio

from relay.config.settings import Settings
from relay.db.journal import Journal
from relay.db.pool import Database
from relay.db.reader_turns import ReaderTurns
from relay.observability import metrics

UPDATE_INTERVAL = 1.0  # seconds between two updates: how old another worker's gauges may be
UPDATES_PER_COUNT = 10  # updates; counting ten thousand descriptors takes a few milliseconds

_PROC = Path("/proc/self")
_IS_LINUX = _PROC.exists()  # elsewhere memory and descriptors are not measured


class ProcessMetrics:
    """Reads the gauges of this process from its pool, its journal, the turns of `calls` that read,
    and the kernel."""

    def __init__(
        self, database: Database, journal: Journal, calls: ReaderTurns, settings: Settings
    ) -> None:
        self._database = database
        self._journal = journal
        self._calls = calls
        self._cpu = 0.0
        metrics.journal_limit.set(settings.queue_events)
        metrics.database_limit.set(settings.database_connections)
        metrics.process_started.set_to_current_time()

    async def run(self) -> None:
        """Update the gauges until cancelled, and measure how late the event loop is."""
        updates = 0
        while True:
            if updates % UPDATES_PER_COUNT == 0 and _IS_LINUX:
                await self._count_descriptors()
            updates += 1
            self.update()
            due = trio.current_time() + UPDATE_INTERVAL
            await trio.sleep_until(due)
            metrics.loop_lag.observe(trio.current_time() - due)

    async def _count_descriptors(self) -> None:
        try:
            open_now = len(await trio.to_thread.run_sync(os.listdir, _PROC / "fd"))
        except OSError:  # no descriptor is free to read the folder: all are in use
            open_now = _max_descriptors()
        metrics.process_fds.set(open_now)

    def update(self) -> None:
        """Update the gauges."""
        metrics.journal_waiting.set(self._journal.waiting_events)
        metrics.readers_waiting.set(self._journal.turns.waiting + self._calls.waiting)
        metrics.database_in_use.set(self._database.in_use)
        metrics.database_open.set(self._database.open)
        metrics.process_max_fds.set(_max_descriptors())  # the server raises it when it starts
        if _IS_LINUX:
            with suppress(OSError):  # no descriptor is free: the last value stays
                pages = int((_PROC / "statm").read_text().split()[1])
                metrics.process_memory.set(pages * resource.getpagesize())
        cpu = time.process_time()
        metrics.process_cpu.inc(cpu - self._cpu)
        self._cpu = cpu


def _max_descriptors() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
