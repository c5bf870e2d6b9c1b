"""A process looks at itself once a second, so that any worker's scrape has everybody's numbers."""

import os
import resource
import time
from contextlib import suppress
from pathlib import Path

import trio

from relay.config.settings import Settings
from relay.db.journal import Journal
from relay.db.pool import Database
from relay.observability import metrics

LOOK = 1.0  # seconds: how old another worker's gauges may be
COUNT_EVERY = 10  # looks between two counts of descriptors, a few ms with ten thousand of them

_PROC = Path("/proc/self")
_LINUX = _PROC.exists()  # elsewhere memory and descriptors are not known


class Vitals:
    """What the gauges of this process are read from."""

    def __init__(self, database: Database, journal: Journal, settings: Settings) -> None:
        self._database = database
        self._journal = journal
        self._cpu = 0.0
        metrics.journal_limit.set(settings.queue_events)
        metrics.database_limit.set(settings.database_connections)
        metrics.process_started.set_to_current_time()
        metrics.process_max_fds.set(resource.getrlimit(resource.RLIMIT_NOFILE)[0])

    async def run(self) -> None:
        """For as long as the process serves."""
        looks = 0
        while True:
            if looks % COUNT_EVERY == 0 and _LINUX:
                await self._count_descriptors()
            looks += 1
            self.look()
            due = trio.current_time() + LOOK
            await trio.sleep_until(due)
            metrics.loop_lag.observe(trio.current_time() - due)

    async def _count_descriptors(self) -> None:
        try:
            open_now = len(await trio.to_thread.run_sync(os.listdir, _PROC / "fd"))
        except OSError:  # to look takes one, and there is none: no reason to end
            open_now = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        metrics.process_fds.set(open_now)

    def look(self) -> None:
        """Bring the gauges up to now."""
        metrics.journal_waiting.set(self._journal.waiting_events)
        metrics.readers_waiting.set(self._journal.waiting_readers)
        metrics.database_in_use.set(self._database.in_use)
        metrics.database_open.set(self._database.open)
        if _LINUX:
            with suppress(OSError):  # out of descriptors: what was known stays
                pages = int((_PROC / "statm").read_text().split()[1])
                metrics.process_memory.set(pages * resource.getpagesize())
        cpu = time.process_time()
        metrics.process_cpu.inc(cpu - self._cpu)
        self._cpu = cpu
