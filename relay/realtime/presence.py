"""Tracks which processes are alive, and how many live streams each user has on them.

The numbers are written to the database and read from it in the background, so that a response
with a count of watchers costs no query.
"""

from contextlib import suppress
from uuid import UUID

import trio

from relay.db.pool import DATABASE_ERRORS, Database
from relay.db.presence import ALIVE_SECONDS, delete_presence, select_others, write_presence
from relay.db.work_failures import WorkFailures
from relay.observability import backplane_metrics
from relay.realtime.hub import Hub
from relay.realtime.process_ids import EVENTS, protocol_of
from relay.realtime.reported_counts import ReportedCounts

WRITE_INTERVAL = 1.0  # seconds between two writes of this process's changes
READ_INTERVAL = 2.0  # seconds between two reads of the others, each with a heartbeat write
LEAVE_TIMEOUT_SECONDS = 1.0  # to delete this process's row, which expires anyway


class Presence:
    """The other processes as this one knows them, and what it has written about itself."""

    def __init__(self, database: Database, process_id: UUID, hub: Hub) -> None:
        self._database = database
        self._process_id = process_id
        self._counts = ReportedCounts(hub)
        self._others: set[UUID] = set()
        self._heard: set[UUID] = set()  # since the last read began, which may not have them yet
        self._streams: dict[UUID, int] = {}
        self._fresh_until = 0.0
        self._failures = WorkFailures(
            "relay.presence", waits="presence_waits", refused="presence_refused"
        )

    @property
    def is_alone(self) -> bool:
        """Whether no other process is known to be alive."""
        return not self._others

    @property
    def needs_positions(self) -> bool:
        """Whether another process understands positions of streams alone (`process_ids.py`)."""
        return any([protocol_of(other) < EVENTS for other in self._others])

    def mark_alive(self, process_id: UUID) -> None:
        """Note that this process is alive: it has sent a notification."""
        self._others.add(process_id)
        self._heard.add(process_id)

    def streams_elsewhere(self, user_id: UUID) -> int:
        """The user's live streams on other processes; 0 if the last read is too old."""
        if trio.current_time() > self._fresh_until:
            return 0
        return self._streams.get(user_id, 0)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write changes and read the other processes until cancelled; then delete our row."""
        read_at, started = 0.0, False
        try:
            while True:
                now = trio.current_time()
                with self._failures.attempt():
                    if (report := self._counts.next_report()) or now >= read_at:
                        await self._write(report)
                    if now >= read_at:
                        await self._read(now)
                        read_at = now + READ_INTERVAL
                if not started:
                    task_status.started()
                    started = True
                await trio.sleep(WRITE_INTERVAL)
        finally:
            with trio.move_on_after(LEAVE_TIMEOUT_SECONDS, shield=True):
                await self._delete()

    async def _write(self, report: dict[UUID, int]) -> None:
        known = await write_presence(self._database, self._process_id, report)
        if not known:  # the first write, or Postgres crashed, or our row expired and was deleted
            self._counts.forget()
        self._counts.note(report)

    async def _read(self, now: float) -> None:
        self._heard.clear()
        others, self._streams = await select_others(self._database, self._process_id)
        self._others = others | self._heard
        self._fresh_until = now + ALIVE_SECONDS
        backplane_metrics.processes.set(1 + len(self._others))

    async def _delete(self) -> None:
        with suppress(*DATABASE_ERRORS):
            await delete_presence(self._database, self._process_id)
