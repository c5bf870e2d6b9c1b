"""Publishes events that other processes stored to this process's readers.

Mostly the events themselves were announced. Where that is the position of the stream alone, or
events before the announced ones are missing, they are read. The heads of all streams with readers
here are polled, too, which finds events after a lost notification, or after a commit with a lost
result.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from itertools import islice
from uuid import UUID

import trio

from relay.db.journal import Journal
from relay.db.pool import DATABASE_ERRORS
from relay.db.work_failures import WorkFailures
from relay.observability import backplane_metrics
from relay.realtime.delivery import observe_delivery
from relay.realtime.encoding import EncodedEvent
from relay.realtime.hub import Hub
from relay.realtime.look_findings import LookFindings
from relay.realtime.notification import NewEvents, Notification

POLL_INTERVAL = 1.0  # seconds between two polls of all streams with readers here
POLL_INTERVAL_ALONE = 5.0  # if no other process stores: an own commit's result may be lost
MIN_POLL_INTERVAL = 0.1  # seconds at least, however often `everything` is announced
RETRY_INTERVAL = 0.2  # seconds after a poll that failed
MAX_USERS = 256  # streams of one query


class RemoteEventReader:
    """Reads events that were not offered to all readers of a user, once for all of them."""

    def __init__(self, hub: Hub, journal: Journal, poll_interval: float = POLL_INTERVAL) -> None:
        self._poll_interval = poll_interval
        self._hub = hub
        self._journal = journal
        self._heads: dict[UUID, int] = {}  # only users with readers here
        self._findings = LookFindings(journal.is_storing)
        self._missed: set[UUID] = set()  # users whose announcements may be missing
        self._woken = trio.Event()
        self._polled_at = self._poll_at = 0.0

    def on_notification(self, notification: Notification) -> None:
        """Publish the events of the notification; have `run` read what it names without them."""
        for new in notification.grown:
            self._findings.note_named(new.user_id, new.last)
            if self._follows_on(new):
                self._publish_announced(new)
            else:
                if new.texts:
                    backplane_metrics.holes.inc()
                self._note_head(new.user_id, new.last)
        for user_id, seq in notification.heads.items():
            self._findings.note_named(user_id, seq)
            self._note_head(user_id, seq)
        self._missed |= notification.missed
        if notification.everything:
            self._poll_at = min(self._poll_at, self._polled_at + MIN_POLL_INTERVAL)
        if self._heads or self._missed or notification.everything:
            self._woken.set()

    def _follows_on(self, new: NewEvents) -> bool:
        """Whether no live reader misses an event before these.

        If there are no live readers, each of the others finds out for itself.
        """
        offered = self._hub.min_offered_seq(new.user_id)
        return bool(new.texts) and (offered is None or offered + 1 >= new.first)

    def _publish_announced(self, new: NewEvents) -> None:
        if not self._hub.watchers(new.user_id):
            return  # its channel is that of other users, too
        received_at = datetime.fromtimestamp(new.received_at, UTC)
        events = [
            EncodedEvent(new.epoch, seq, bytes(text), received_at)
            for seq, text in enumerate(new.texts, new.first)
        ]
        self._publish_to_readers(new.user_id, events, received_at)

    def _publish_to_readers(
        self, user_id: UUID, events: list[EncodedEvent], oldest: datetime
    ) -> None:
        backplane_metrics.lag.observe((self._journal.now() - oldest).total_seconds())
        if self._hub.publish(user_id, events):
            observe_delivery(oldest, self._journal.now())

    def _note_head(self, user_id: UUID, seq: int) -> None:
        if self._is_new(user_id, seq):
            self._heads[user_id] = max(seq, self._heads.get(user_id, 0))
        else:
            self._hub.recheck(user_id, seq)  # a starting reader may have an older head

    def _is_new(self, user_id: UUID, seq: int) -> bool:
        offered = self._hub.min_offered_seq(user_id)
        return offered is not None and offered < seq

    async def run(self) -> None:
        """Read and publish until cancelled."""
        failures = WorkFailures(
            "relay.remote_reader", waits="remote_reads_wait", refused="remote_reads_refused"
        )
        while True:
            with trio.move_on_at(self._poll_at):
                await self._woken.wait()
            self._woken = trio.Event()
            failures.begin_attempt()
            try:
                if trio.current_time() >= self._poll_at:
                    await self._poll_heads()
                elif self._missed:
                    missed, self._missed = self._missed, set()
                    await self._find_new(missed & set(self._hub.users()))
                heads, self._heads = self._heads, {}
                await self._publish(heads)
            except DATABASE_ERRORS as error:
                failures.note(error)
                self._poll_at = trio.current_time() + RETRY_INTERVAL
                await trio.sleep(RETRY_INTERVAL)

    async def _poll_heads(self) -> None:
        """Look up the heads of all streams with readers here."""
        self._polled_at = trio.current_time()
        self._poll_at = self._polled_at + self._poll_interval
        self._missed.clear()
        self._findings.count()
        await self._find_new(self._hub.users())

    async def _find_new(self, users: Collection[UUID]) -> None:
        """Note those of these users' streams that have events which were not offered here."""
        if users:
            for user_id, head in (await self._journal.heads(list(users))).items():
                if self._is_new(user_id, head.last):
                    self._findings.note_found(user_id, head.last)
                    self._heads[user_id] = head.last

    async def _publish(self, heads: Mapping[UUID, int]) -> None:
        waiting = iter(heads)
        while user_ids := list(islice(waiting, MAX_USERS)):
            offered = {user: self._hub.min_offered_seq(user) for user in user_ids}
            found = await self._journal.read_many(
                {user: seq for user, seq in offered.items() if seq is not None}
            )
            for user_id, events in found.items():
                backplane_metrics.read_events.inc(len(events))
                self._publish_to_readers(
                    user_id, [EncodedEvent(*event) for event in events], events[0].received_at
                )
            for user_id in user_ids:  # a reader that was not offered all of it reads the journal
                self._hub.recheck(user_id, heads[user_id])
