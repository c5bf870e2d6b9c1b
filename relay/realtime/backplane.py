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
from relay.realtime.notification import Notification

OnNotification = Callable[[Notification], None]


class Backplane(Protocol):
    """One process's connection to the other processes."""

    def announce_head(self, user_id: UUID, seq: int) -> None:
        """Announce that this user's stream goes up to `seq`. Never waits, never raises."""
        ...

    def announce_revoked(self, credential_id: UUID) -> None:
        """Announce that this credential was revoked. Never waits, never raises."""
        ...

    def watchers(self, user_id: UUID) -> int:
        """The user's live streams on other processes. The count is at most five seconds old."""
        ...

    async def run(
        self, on_notification: OnNotification, task_status: trio.TaskStatus[None]
    ) -> None:
        """Send and receive announcements until cancelled.

        `on_notification` is called with each announcement of another process, and must not
        raise. When announcements are known to be lost, one with `everything` set follows. A loss
        that stays unnoticed is found by the poll each second.
        """
        ...


class LocalBackplane:
    """A backplane for a process that shares its database with no other; it sends nothing.

    Tests connect several hubs in one process by giving their backplanes the same `peers`.
    """

    def __init__(self, hub: Hub, peers: "set[LocalBackplane] | None" = None) -> None:
        self._id = uuid4()
        self._hub = hub
        self._peers: set[LocalBackplane] = set() if peers is None else peers
        self._on_notification: OnNotification | None = None

    def announce_head(self, user_id: UUID, seq: int) -> None:
        notification = Notification(self._id)
        notification.add_head(user_id, seq)
        self._send(notification)

    def announce_revoked(self, credential_id: UUID) -> None:
        notification = Notification(self._id)
        notification.add_revoked(credential_id)
        self._send(notification)

    def watchers(self, user_id: UUID) -> int:
        return sum([other._hub.watchers(user_id) for other in self._peers if other is not self])

    def _send(self, notification: Notification) -> None:
        for other in self._peers - {self}:
            if other._on_notification is not None:
                other._on_notification(notification)

    async def run(
        self,
        on_notification: OnNotification,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        self._on_notification = on_notification
        self._peers.add(self)
        try:
            metrics.backplane_up.set(1)
            metrics.backplane_processes.set(len(self._peers))
            task_status.started()
            await trio.sleep_forever()
        finally:
            self._peers.discard(self)
