"""The backplane interface: processes that share a database announce commits and revokes.

An announcement carries the events themselves, to the processes that have readers of their user.
Announcements only save time. What a process misses it finds in the database, whose streams and
revocations it polls once a second (`remote_reader.py`, `auth/credentials.py`). So one that is
lost, doubled, late or out of order changes nothing but the time that an event takes.
"""

from collections.abc import Callable
from typing import Protocol
from uuid import UUID, uuid4

import msgspec
import trio

from relay.observability import backplane_metrics
from relay.realtime.encoding import CommittedEvents
from relay.realtime.hub import Hub
from relay.realtime.notification import NewEvents, Notification

OnNotification = Callable[[Notification], None]


class Backplane(Protocol):
    """One process's connection to the other processes."""

    def announce_events(self, user_id: UUID, events: CommittedEvents) -> None:
        """Announce one user's newly committed events. Never waits, never raises.

        Processes without a reader of the user have no work with it, apart from those whose readers'
        users share a channel with this one.
        """
        ...

    def announce_revoked(self, credential_id: UUID) -> None:
        """Announce that this credential was revoked. Never waits, never raises.

        Every process hears it: credentials are in memory where no stream is.
        """
        ...

    async def attend(self, user_id: UUID) -> None:
        """Hear what is announced for this user from the return on. Never raises.

        Call it when the reader's inbox exists and before its stream is looked at: what is stored
        after that look is heard. It returns in any case after a fraction of a second; then a
        notification with `everything` set follows once announcements are heard. Interest ends by
        itself some time after the hub has no reader of the user any more.
        """
        ...

    def look_for_watchers(self, user_id: UUID) -> None:
        """Have `watchers` know of this user soon. Never waits, never raises.

        Call it before something that takes a while, after which `watchers` is asked.
        """
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

    def announce_events(self, user_id: UUID, events: CommittedEvents) -> None:
        for other in self._peers - {self}:
            if other._on_notification is not None and other._hub.watchers(user_id):
                texts = tuple([msgspec.Raw(event.json) for event in events.encoded])
                received_at = events.received_at.timestamp()
                new = NewEvents(user_id, events.epoch, events.first, received_at, texts)
                other._on_notification(Notification(self._id, grown=(new,)))

    def announce_revoked(self, credential_id: UUID) -> None:
        for other in self._peers - {self}:
            if other._on_notification is not None:
                other._on_notification(Notification(self._id, revoked={credential_id}))

    async def attend(self, user_id: UUID) -> None:
        """The hub is asked at each announcement: there is nothing to prepare."""

    def look_for_watchers(self, user_id: UUID) -> None:
        """The hubs are asked by `watchers` itself."""

    def watchers(self, user_id: UUID) -> int:
        return sum([other._hub.watchers(user_id) for other in self._peers if other is not self])

    async def run(
        self,
        on_notification: OnNotification,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        self._on_notification = on_notification
        self._peers.add(self)
        try:
            backplane_metrics.up.set(1)
            backplane_metrics.processes.set(len(self._peers))
            task_status.started()
            await trio.sleep_forever()
        finally:
            self._peers.discard(self)
