"""What a backplane is: each process that shares a database announces its commits and revokes.

Announcements only save time. A process that gets none finds the same in the database, by looking
once a second (`remote_reader.py`, `auth/credentials.py`).
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
    """One process's connection to the others."""

    def grew(self, user_id: UUID, seq: int) -> None:
        """Announce that this user's stream goes up to `seq`. Never waits, never fails."""
        ...

    def ended(self, credential_id: UUID) -> None:
        """Announce that this credential ended. Never waits, never fails."""
        ...

    def watchers(self, user_id: UUID) -> int:
        """The user's live streams on the others, as they were five seconds ago or later."""
        ...

    async def run(self, hear: Hear, task_status: trio.TaskStatus[None]) -> None:
        """Take part until cancelled. `hear` gets what the others announce, and must not raise.

        Where an announcement is known to be lost, one of "everything" follows. Where that is not
        known, the look each second finds what it was about.
        """
        ...


class LocalBackplane:
    """Connects the hubs of one process that share `room`; alone in it, it does nothing.

    A Relay with a Postgres of its own is alone. Tests put several hubs into one room.
    """

    def __init__(self, hub: Hub, room: "set[LocalBackplane] | None" = None) -> None:
        self._id = uuid4()
        self._hub = hub
        self._room: set[LocalBackplane] = set() if room is None else room
        self._hear: Hear | None = None

    def grew(self, user_id: UUID, seq: int) -> None:
        for hear in self._others():
            hear(News(self._id, heads={user_id: seq}))

    def ended(self, credential_id: UUID) -> None:
        for hear in self._others():
            hear(News(self._id, ended={credential_id}))

    def watchers(self, user_id: UUID) -> int:
        return sum([other._hub.watchers(user_id) for other in self._room if other is not self])

    def _others(self) -> list[Hear]:
        return [
            other._hear for other in self._room if other is not self and other._hear is not None
        ]

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
