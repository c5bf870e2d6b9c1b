"""The backplane for processes that share a Postgres, over LISTEN and NOTIFY.

Postgres serialises all commits that notify, for the whole server. So a commit of events does not
notify. NOTIFY is sent afterwards, one statement at a time; what is announced meanwhile goes into
the next one. Nothing is sent while no other process is alive.

Users are divided into buckets with a channel each. A process listens to the channels of those that
have readers here (`attend`), and to the channel of all.
"""

from collections.abc import Sequence
from functools import partial
from uuid import UUID

import structlog
import trio

from relay.config.parsers import SigningKey
from relay.db.listener import Listener
from relay.db.pool import DATABASE_ERRORS, Database
from relay.observability import backplane_metrics
from relay.realtime.announcements import CHANNEL, Announcements, channel_of
from relay.realtime.backplane import OnNotification
from relay.realtime.encoding import CommittedEvents
from relay.realtime.hub import Hub
from relay.realtime.notification import Notification
from relay.realtime.presence import Presence
from relay.realtime.process_ids import new_process_id
from relay.realtime.sealing import Sealer

RETRY_SECONDS = 0.2  # after a NOTIFY that failed
ATTEND_TIMEOUT_SECONDS = 0.25  # for LISTEN: a stream opens without it then
UNLISTEN_INTERVAL = 30.0  # seconds: a channel that is not used for as long is left

log = structlog.get_logger("relay.backplane")


class PostgresBackplane:
    """`dsn` must not lead through a transaction pooler: LISTEN does not work there."""

    def __init__(self, database: Database, dsn: str, keys: Sequence[SigningKey], hub: Hub) -> None:
        self._database = database
        self._hub = hub
        self._id = new_process_id()
        self._sealer = Sealer(keys, self._id)
        self._presence = Presence(database, self._id, hub)
        self._listener = Listener(database, dsn, CHANNEL)
        self._pending = Announcements(self._id)
        self._woken = trio.Event()

    def announce_events(self, user_id: UUID, events: CommittedEvents) -> None:
        if not self._presence.is_alone:
            self._pending.add_events(user_id, events)
            self._woken.set()

    def announce_revoked(self, credential_id: UUID) -> None:
        if not self._presence.is_alone:
            self._pending.add_revoked(credential_id)
            self._woken.set()

    async def attend(self, user_id: UUID) -> None:
        await self._listener.add(channel_of(user_id), within=ATTEND_TIMEOUT_SECONDS)

    def look_for_watchers(self, user_id: UUID) -> None:
        """The numbers of all users are read every two seconds."""

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
            nursery.start_soon(self._leave_channels)
            await nursery.start(
                partial(
                    self._listener.run,
                    on_payload=partial(self._on_payload, on_notification),
                    on_listening=partial(self._on_listening, on_notification),
                )
            )
            task_status.started()

    def _on_listening(self, on_notification: OnNotification) -> None:
        """Handle a late start of LISTEN: look up everything, since announcements may be lost.

        The notification that is sent next makes this process known to the others.
        """
        on_notification(Notification(self._id, everything=True))
        self._woken.set()

    def _on_payload(self, on_notification: OnNotification, text: str) -> None:
        notification = self._decode(text)
        if notification is None:
            log.warning("notification_not_understood")
            notification = Notification(self._id, everything=True)
        elif notification.sender == self._id:
            return
        else:
            self._presence.mark_alive(notification.sender)
        backplane_metrics.received.inc()
        on_notification(notification)

    def _decode(self, text: str) -> Notification | None:
        """Parse a payload. None if it is not understood, or has events that are not sealed."""
        if text.startswith("{"):
            notification = Notification.decode(text)
            return None if notification is not None and notification.grown else notification
        message = self._sealer.open(text)
        return None if message is None else Notification.decode(message)

    async def _send_notifications(self) -> None:
        """Send collected announcements, one NOTIFY statement at a time.

        An empty one is sent at the start of LISTEN: it makes this process known to the others.
        """
        while True:
            await self._woken.wait()
            self._woken = trio.Event()
            pending, self._pending = self._pending, Announcements(self._id)
            if pending.everything:
                backplane_metrics.overflows.inc()
            messages = pending.messages(self._sealer, with_positions=self._presence.needs_positions)
            try:
                await self._database.execute(
                    "SELECT pg_notify(channel, payload)"
                    " FROM unnest($1::text[], $2::text[]) AS message (channel, payload)",
                    [channel for channel, _ in messages],
                    [payload for _, payload in messages],
                )
                backplane_metrics.sent.inc(len(messages))
            except DATABASE_ERRORS:
                backplane_metrics.send_failures.inc()
                self._pending.everything = True
                self._woken.set()
                await trio.sleep(RETRY_SECONDS)

    async def _leave_channels(self) -> None:
        """End LISTEN on channels whose users had no reader and no wait here at two looks."""
        unused: set[str] = set()
        while True:
            await trio.sleep(UNLISTEN_INTERVAL)
            used = {channel_of(user_id) for user_id in self._hub.attended_users()}
            idle = self._listener.channels - used
            for channel in idle & unused:
                self._listener.remove(channel)
            unused = idle
