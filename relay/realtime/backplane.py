"""The backplane interface: processes that share a database announce commits and revokes.

Announcements only save time. A process that misses one finds the change in the database, which it
polls once a second (`remote_reader.py`, `auth/credentials.py`).
"""

from collections.abc import Callable
from typing import Protocol
from uuid import UUID, uuid4

import trio

from relay.observability import metrics
from relay.realtime.hub import Hub
from relay.realtime.notification import News

Hear = Callable[[News], None]


class Backplane(Protocol):
    """One process's connection to the other processes."""

    def grew(self, user_id: UUID, seq: int) -> None:
        """Announce that this user's stream goes up to `seq`. Never waits, never raises."""
        ...

    def ended(self, credential_id: UUID) -> None:
        """Announce that this credential was revoked. Never waits, never raises."""
        ...

    def watchers(self, user_id: UUID) -> int:
        """The user's live streams on other processes. The count is at most five seconds old."""
        ...

    async def run(self, hear: Hear, task_status: trio.TaskStatus[None]) -> None:
        """Send and receive announcements until cancelled.

        `hear` is called with each announcement of another process, and must not
        raise. When announcements are known to be lost, one with `everything` set follows. A loss
        that stays unnoticed is found by the poll each second.
        """
        ...


class LocalBackplane:
    """A backplane for a process that shares its database with no other; it sends nothing.

    Tests connect several hubs in one process by giving their backplanes the same `room`.
    """

    def __init__(self, hub: Hub, room: "set[LocalBackplane] | None" = None) -> None:
        self._id = uuid4()
        self._hub = hub
        self._room: set[LocalBackplane] = set() if room is None else room
        self._hear: Hear | None = None

    def grew(self, user_id: UUID, seq: int) -> None:
        news = News(self._id)
        news.add_head(user_id, seq)
        self._send(news)

    def ended(self, credential_id: UUID) -> None:
        news = News(self._id)
        news.add_revoked(credential_id)
        self._send(news)

    def watchers(self, user_id: UUID) -> int:
        return sum([other._hub.watchers(user_id) for other in self._room if other is not self])

    def _send(self, news: News) -> None:
        for other in self._room - {self}:
            if other._hear is not None:
                other._hear(news)

    async def run(
        self, hear: Hear, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        self._hear = hear
        self._room.add(self)
        try:
            metrics.backplane_up.set(1)
            metrics.backplane_processes.set(len(self._room))
            task_status.started()
            await trio.sleep_forever()
        finally:
            self._room.discard(self)
