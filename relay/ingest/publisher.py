"""Appends events to the journal and publishes them to their user's readers."""

from collections.abc import Sequence
from uuid import UUID

from relay.config.settings import Settings
from relay.db.clock import DatabaseClock
from relay.db.journal import Journal
from relay.db.pool import Database
from relay.events import EVENT_TYPES, NOTE_TYPES, Event, NewEvent, Receipt
from relay.ingest.envelope import MAX_BATCH_BODY_BYTES
from relay.ingest.fair_queue import UserConcurrencyLimit
from relay.ingest.parse_budget import ParseBudget
from relay.observability import metrics
from relay.projection.projector import Projector
from relay.realtime.backplane import Backplane
from relay.realtime.delivery import observe_delivery
from relay.realtime.encoding import CommittedEvents
from relay.realtime.hub import Hub

CONNECTIONS_PER_READER = 4  # one in four; commits and lookups use the others

# all of them from the start: an alert compares their sum with 0, and a missing series is not 0
_INGESTED = {
    event_type: metrics.events_ingested.labels(event_type)
    for event_type in (*EVENT_TYPES, *NOTE_TYPES)
}


class Publisher:
    """Stores and publishes events. `user_limit` and `parse_budget` are the limits on publishing.

    The journal calls `_deliver` after each commit, so delivery order is commit order.
    """

    def __init__(
        self,
        database: Database,
        hub: Hub,
        backplane: Backplane,
        projector: Projector,
        clock: DatabaseClock,
        settings: Settings,
    ) -> None:
        self._hub = hub
        self._backplane = backplane
        self._projector = projector
        # A user alone gets half of it, and so can fill the journal's queue. One body always fits.
        max_bytes = max(2 * settings.queue_bytes, MAX_BATCH_BODY_BYTES)
        self.user_limit = UserConcurrencyLimit(settings.database_timeout, max_bytes)
        self.parse_budget = ParseBudget()
        self.journal = Journal(
            database,
            deliver=self._deliver,
            recheck=self._recheck,
            queue_events=settings.queue_events,
            queue_bytes=settings.queue_bytes,
            readers=max(1, settings.database_connections // CONNECTIONS_PER_READER),
            timeout=settings.database_timeout,
            now=clock.now,
        )

    async def publish(self, user_id: UUID, events: Sequence[NewEvent]) -> list[Receipt]:
        """Store and deliver one user's events. Raises what `Journal.append` raises."""
        self._backplane.look_for_watchers(user_id)  # the receipts tell how many there are
        receipts = await self.journal.append(user_id, events)
        types = [
            event.event_type
            for event, receipt in zip(events, receipts, strict=True)
            if not receipt.duplicate
        ]
        for event_type in set(types):
            _INGESTED[event_type].inc(types.count(event_type))
        if len(types) < len(receipts):
            metrics.events_duplicate.inc(len(receipts) - len(types))
        return receipts

    def _deliver(self, user_id: UUID, events: list[Event]) -> None:
        committed = CommittedEvents(events)
        if self._hub.watchers(user_id) and self._hub.publish(user_id, committed.encoded):
            observe_delivery(committed.received_at, self.journal.now())
        self._backplane.announce_events(user_id, committed)
        self._projector.offer(user_id, events)

    def _recheck(self, user_id: UUID, last_seq: int | None) -> None:
        self._hub.recheck(user_id, last_seq)
        self._projector.recheck(user_id)
