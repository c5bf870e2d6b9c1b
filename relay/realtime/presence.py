"""Tracks which processes are alive, and how many live streams each user has on them.

The numbers are written to the database and read from it in the background, so that a response
with a count of watchers costs no query.
"""

from contextlib import suppress
from itertools import islice
from uuid import UUID

import trio

from relay.db.pool import UNANSWERED, Database
from relay.db.presence import ALIVE, leave, select_others, tell_presence
from relay.observability import metrics
from relay.realtime.hub import Hub

TELL = 1.0  # seconds between two writes of this process's changes
BEAT = 2.0  # seconds between two reads of the others, each with a heartbeat write
MOST_CHANGES = 2_000  # users in one write; the others follow in the next
GOODBYE = 1.0  # to delete this process's row, which expires anyway


class Presence:
    """The other processes as this one knows them, and what it has written about itself."""

    def __init__(self, database: Database, process_id: UUID, hub: Hub) -> None:
        self._database = database
        self._process_id = process_id
        self._hub = hub
        self._told: dict[UUID, int] = {}
        self._others: set[UUID] = set()
        self._streams: dict[UUID, int] = {}
        self._good_until = 0.0

    @property
    def alone(self) -> bool:
        """Whether no other process is known to be alive."""
        return not self._others

    def met(self, process_id: UUID) -> None:
        """Note that this process is alive: it has sent a notification."""
        self._others.add(process_id)

    def elsewhere(self, user_id: UUID) -> int:
        """The user's live streams on other processes; 0 if the last read is too old."""
        if trio.current_time() > self._good_until:
            return 0
        return self._streams.get(user_id, 0)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write changes and read the other processes until cancelled; then delete our row."""
        look_at, started = 0.0, False
        try:
            while True:
                now = trio.current_time()
                try:
                    if (changed := self._changed()) or now >= look_at:
                        await self._tell(changed)
                    if now >= look_at:
                        await self._look(now)
                        look_at = now + BEAT
                except UNANSWERED:
                    pass  # the revocation poll logs it (auth/credentials.py)
                if not started:
                    task_status.started()
                    started = True
                await trio.sleep(TELL)
        finally:
            with trio.move_on_after(GOODBYE, shield=True):
                await self._leave()

    def _changed(self) -> dict[UUID, int]:
        """The new numbers of streams, by user, that differ from those last written."""
        counts = self._hub.counts()
        changed = {user: n for user, n in counts.items() if self._told.get(user) != n}
        changed |= {user: 0 for user in self._told if user not in counts}
        return dict(islice(changed.items(), MOST_CHANGES))

    async def _tell(self, changed: dict[UUID, int]) -> None:
        known = await tell_presence(self._database, self._process_id, changed)
        if not known:  # the first write, or Postgres crashed, or our row expired and was deleted
            self._told.clear()
        for user_id, streams in changed.items():
            if streams:
                self._told[user_id] = streams
            else:
                self._told.pop(user_id, None)

    async def _look(self, now: float) -> None:
        self._others, self._streams = await select_others(self._database, self._process_id)
        self._good_until = now + ALIVE
        metrics.backplane_processes.set(1 + len(self._others))

    async def _leave(self) -> None:
        with suppress(*UNANSWERED):
            await leave(self._database, self._process_id)
