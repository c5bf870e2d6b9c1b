"""The backplane for processes that share a Postgres, over LISTEN and NOTIFY.

Postgres serialises all commits that notify, for the whole server. So a commit of events does not
notify. NOTIFY is sent afterwards, one at a time; what is announced meanwhile goes into the next
one. Nothing is sent while no other process is alive.
"""

from functools import partial
from uuid import UUID, uuid4

import structlog
import trio

from relay.db.listener import listen
from relay.db.pool import DATABASE_ERRORS, Database
from relay.observability import metrics
from relay.realtime.backplane import OnNotification
from relay.realtime.hub import Hub
from relay.realtime.notification import Notification
from relay.realtime.presence import Presence

CHANNEL = "relay"
RETRY_SECONDS = 0.2  # after a NOTIFY that failed

log = structlog.get_logger("relay.backplane")


class PostgresBackplane:
    """`dsn` must not lead through a transaction pooler: LISTEN does not work there."""

    def __init__(self, database: Database, dsn: str, hub: Hub) -> None:
        self._database = database
        self._dsn = dsn
        self._id = uuid4()
        self._presence = Presence(database, self._id, hub)
        self._pending = Notification(self._id)
        self._woken = trio.Event()

    def announce_head(self, user_id: UUID, seq: int) -> None:
        if not self._presence.is_alone:
            self._pending.add_head(user_id, seq)
            self._woken.set()

    def announce_revoked(self, credential_id: UUID) -> None:
        if not self._presence.is_alone:
            self._pending.add_revoked(credential_id)
            self._woken.set()

    def watchers(self, user_id: UUID) -> int:
        return self._presence.streams_elsewhere(user_id)

    async def run(
        self,
        on_notification: OnNotification,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(self._presence.run)
            nursery.start_soon(self._send_notifications)
            await nursery.start(
                partial(
                    listen,
                    self._database,
                    self._dsn,
                    CHANNEL,
                    on_payload=partial(self._on_payload, on_notification),
                    on_listening=partial(self._on_listening, on_notification),
                )
            )
            task_status.started()

    def _on_listening(self, on_notification: OnNotification) -> None:
        """Handle the start of LISTEN: look up everything, since earlier announcements are lost.

        The notification that is sent next makes this process known to the others.
        """
        on_notification(Notification(self._id, everything=True))
        self._woken.set()

    def _on_payload(self, on_notification: OnNotification, text: str) -> None:
        notification = Notification.decode(text)
        if notification is None:
            log.warning("news_not_understood")
            notification = Notification(self._id, everything=True)
        elif notification.sender == self._id:
            return
        else:
            self._presence.mark_alive(notification.sender)
        metrics.backplane_received.inc()
        on_notification(notification)

    async def _send_notifications(self) -> None:
        """Send collected announcements, one NOTIFY at a time.

        An empty one is sent at the start of LISTEN: it makes this process known to the others.
        """
        while True:
            await self._woken.wait()
            self._woken = trio.Event()
            notification, self._pending = self._pending, Notification(self._id)
            if notification.everything:
                metrics.backplane_overflows.inc()
            try:
                await self._database.execute(
                    "SELECT pg_notify($1, $2)", CHANNEL, notification.encode()
                )
                metrics.backplane_sent.inc()
            except DATABASE_ERRORS:
                metrics.backplane_send_failures.inc()
                self._pending.everything = True
                self._woken.set()
                await trio.sleep(RETRY_SECONDS)
