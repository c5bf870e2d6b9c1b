"""Opens asks and ends them, writes their events, and wakes the calls that wait for an answer.

The row decides, and two events in the stream follow it. Events that a process could not write,
because it ended or the database was away, the process that runs housekeeping writes later.
"""

from collections.abc import Sequence
from functools import partial
from uuid import UUID

import structlog
import trio

from relay.asks.view import ShownAsk, answered_payload, waiting_payload
from relay.db.asks import (
    Ask,
    NewAsk,
    Opened,
    end_ask,
    mark_written,
    open_ask,
    select_ended,
    settle_asks,
)
from relay.db.outbox import Outbox
from relay.db.pool import DATABASE_ERRORS, Database
from relay.db.work_failures import WorkFailures
from relay.errors import Problem
from relay.events import NewEvent, Receipt, rfc3339
from relay.ingest.publisher import Publisher
from relay.observability import metrics
from relay.realtime.shared_waits import SharedWaits

MAX_OPEN_ASKS = 100  # of one user: more than a person answers
SETTLE_SECONDS = 1.0  # between two looks for asks that have expired
SETTLED_TOGETHER = 50  # asks whose events are written one after the other

log = structlog.get_logger("relay.asks")


class Asks:
    """The asks that this process opens, ends and waits for."""

    def __init__(self, database: Database, publisher: Publisher, outbox: Outbox) -> None:
        self._database = database
        self._publisher = publisher
        self._outbox = outbox
        self.waits: SharedWaits[tuple[UUID, UUID], ShownAsk] = SharedWaits(
            partial(select_ended, database)
        )
        self._failures = WorkFailures("relay.asks", waits="asks_wait", refused="asks_refused")

    async def open(self, new: NewAsk) -> tuple[Opened, Receipt | None]:
        """Open an ask, or find it again; returns it with the receipt of its event.

        Raises what `Publisher.publish` raises: the same request finds the ask then, if it has an
        `event_id`. Without one nothing would wait for the answer, so the ask is withdrawn.
        """
        opened = await open_ask(
            self._database, new, at_most=MAX_OPEN_ASKS, bounds=self._outbox.bounds
        )
        if opened.notified:
            self._outbox.wake()
        if opened.ask is None or opened.outcome == "other_request":
            return opened, None
        if opened.outcome == "opened":
            metrics.asks.labels("opened").inc()
        try:
            receipts = await self._write_events(opened.ask, needs_receipt=True)
        except Problem:
            if new.event_id is None:
                await end_ask(self._database, opened.ask, "withdrawn", by=new.token_id)
            raise
        return opened, receipts[0]

    async def end(
        self, ask: Ask, state: str, *, by: UUID, answer: str | None = None
    ) -> tuple[bool, Ask | None]:
        """Answer or withdraw an ask, if it is open; returns whether this call did, and the ask.

        It has ended once its row has changed, so an event that cannot be stored now follows later.
        """
        ended, present = await end_ask(self._database, ask, state, by=by, answer=answer)
        if ended and present is not None:
            self.waits.wake((ask.user_id, ask.ask_id))
            try:
                await self._write_events(present)
            except (Problem, *DATABASE_ERRORS) as error:
                log.warning("ask_note_delayed", error=type(error).__name__)
        return ended, present

    async def settle(self) -> None:
        """End asks on time, and write the events that are missing, until cancelled.

        For one of several processes.
        """
        while True:
            due: Sequence[Ask] = []
            with self._failures.attempt():
                due = await settle_asks(self._database)
            async with trio.open_nursery() as nursery:
                for first in range(0, len(due), SETTLED_TOGETHER):
                    some = due[first : first + SETTLED_TOGETHER]
                    nursery.start_soon(self._settle_some, some)
            await trio.sleep(SETTLE_SECONDS)

    async def _settle_some(self, asks: Sequence[Ask]) -> None:
        """Write the events of asks, one after the other. One that fails leaves the others alone."""
        for ask in asks:
            try:
                await self._write_events(ask)
            except (Problem, *DATABASE_ERRORS) as error:
                self._failures.note(error)
                continue
            self.waits.wake((ask.user_id, ask.ask_id))

    async def _write_events(self, ask: Ask, *, needs_receipt: bool = False) -> list[Receipt]:
        """Append the events of an ask as it is now, but for those that the stream has.

        The first event always comes before the second, whichever process is faster. Where it
        `needs_receipt` it is appended again, which gives one: its id is known for a day.
        """
        now = self._publisher.journal.now()
        note = partial(NewEvent, task_id=ask.task_id, ts=rfc3339(now), received_at=now)
        events = []
        if ask.written is None or needs_receipt:
            events.append(
                note(
                    id=str(ask.waiting_id), event_type="task_waiting", payload=waiting_payload(ask)
                )
            )
        if ask.state != "open":
            events.append(
                note(
                    id=str(ask.answered_id),
                    event_type="task_answered",
                    payload=answered_payload(ask),
                )
            )
        receipts: Sequence[Receipt] = await self._publisher.publish(ask.user_id, events)
        if await mark_written(self._database, ask) and ask.state != "open":
            metrics.asks.labels(ask.state).inc()
        return list(receipts)
