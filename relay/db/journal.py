"""The durable log: append in group commits, read from a cursor.

Group commit: whatever waits when a commit ends goes into the next one, in one statement. There
is no timer: while one commit is under way the next batch gathers. Users are sharded over the
writers, so that one user's events are handed over in the order they were committed in.
"""

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

import structlog
import trio

from relay import metrics
from relay.db.pages import Page, select_events, select_head, select_heads, select_page
from relay.db.pool import Database, Row, RowRefused, StatementFailed
from relay.errors import (
    DatabaseAway,
    DiskFull,
    Draining,
    Internal,
    Invalid,
    InvalidToken,
    JournalFull,
    Problem,
)
from relay.events import Event, Head, NewEvent, Receipt

WRITERS = 4  # commits under way at once: while some wait for the disk, others fill
MAX_COMMIT_EVENTS = 1_000  # events of one commit: about 10 ms of the database's time
MAX_COMMIT_BYTES = 4 * 2**20  # payload bytes of one commit
PAGE_EVENTS = 256  # events of one read: what an inbox holds, so that no reader holds more
PAGE_BYTES = 2**20

log = structlog.get_logger("relay.journal")

Deliver = Callable[[UUID, list[Event]], None]


class _Waiting:
    """One request's events on their way into a commit."""

    __slots__ = ("done", "events", "problem", "receipts", "size", "taken", "user_id")

    def __init__(self, user_id: UUID, events: Sequence[NewEvent]) -> None:
        self.user_id = user_id
        self.events = events
        self.taken: Sequence[NewEvent] = ()
        self.size = sum([len(event.payload) for event in events])
        self.done = trio.Event()
        self.receipts: list[Receipt] = []
        self.problem: Problem | None = None

    def take(self) -> "Sequence[NewEvent]":
        """The events, for the commit that begins now; none when nobody waits any more."""
        self.taken, self.events = self.events, ()
        return self.taken

    def abandon(self) -> None:
        """Nobody waits any more: what still lies in the queue must not hold its payloads."""
        self.events = ()


class Journal:
    """`deliver` is called with each user's new events, right after their commit, in seq order.

    `recheck` is called with users whose last commit's outcome is not known.
    """

    def __init__(
        self,
        database: Database,
        deliver: Deliver,
        recheck: Callable[[UUID], None],
        *,
        queue_events: int,
        queue_bytes: int,
        timeout: float,
    ) -> None:
        self._database = database
        self._deliver = deliver
        self._recheck = recheck
        self._queue_events = queue_events
        self._queue_bytes = queue_bytes
        self._timeout = timeout
        self.disk_full = False  # set by who watches the disk: take nothing more
        self.waiting_events = 0
        self.waiting_bytes = 0
        # append() keeps the bound, on events and bytes; only abandoned requests can fill these
        self._queues = [trio.open_memory_channel[_Waiting](queue_events) for _ in range(WRITERS)]

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write until `close()`; returns once everything accepted is committed or refused."""
        try:
            async with trio.open_nursery() as nursery:
                for _, queue in self._queues:
                    nursery.start_soon(self._write, queue)
                task_status.started()
        finally:
            self.close()  # whoever comes when the writers are gone is refused, and does not wait

    def close(self) -> None:
        """Take no more; what waits is still committed."""
        for sending, _ in self._queues:
            sending.close()

    async def append(self, user_id: UUID, events: Sequence[NewEvent]) -> list[Receipt]:
        """Store one user's events, all or none; returns after the commit, in their order.

        Raises JournalFull or DiskFull at once, DatabaseAway within the timeout (the events may
        yet be stored: a retry with the same ids tells), InvalidToken when the user is gone,
        Invalid when the database refuses a value.
        """
        if self.disk_full:
            raise DiskFull()
        waiting = _Waiting(user_id, events)
        if (
            self.waiting_events + len(events) > self._queue_events
            or self.waiting_bytes + waiting.size > self._queue_bytes
        ):
            metrics.journal_full.inc()
            raise JournalFull()
        self.waiting_events += len(events)
        self.waiting_bytes += waiting.size
        try:
            self._queues[user_id.int % WRITERS][0].send_nowait(waiting)
            with trio.move_on_after(self._timeout):
                await waiting.done.wait()
        except trio.ClosedResourceError:
            raise Draining() from None
        except trio.WouldBlock:
            raise JournalFull() from None
        finally:
            waiting.abandon()  # a writer that has not taken it yet passes it over
            self.waiting_events -= len(events)
            self.waiting_bytes -= waiting.size
        if not waiting.done.is_set():
            raise DatabaseAway()
        if waiting.problem is not None:
            raise waiting.problem
        return waiting.receipts

    async def _write(self, queue: "trio.MemoryReceiveChannel[_Waiting]") -> None:
        async for first in queue:
            batch, events, size = [first], len(first.events), first.size
            while events < MAX_COMMIT_EVENTS and size < MAX_COMMIT_BYTES:
                try:
                    waiting = queue.receive_nowait()
                except (trio.WouldBlock, trio.EndOfChannel):
                    break
                batch.append(waiting)
                events += len(waiting.events)
                size += waiting.size
            await self._commit([waiting for waiting in batch if waiting.take()])

    async def _commit(self, batch: list[_Waiting]) -> None:
        if not batch:
            return
        started = trio.current_time()
        try:
            rows = await self._append_events(batch)
        except DatabaseAway:
            metrics.commit_failures.inc()
            self._refuse(batch, DatabaseAway)
            for user_id in {waiting.user_id for waiting in batch}:
                self._recheck(user_id)
            return
        except RowRefused:
            # one request's data must not cost its neighbours theirs
            if len(batch) > 1:
                for waiting in batch:
                    await self._commit([waiting])
                return
            log.warning("row_refused")  # the driver's words would quote the payload
            self._refuse(batch, Invalid)
            return
        except StatementFailed as error:  # not their data: the schema, or what we may do there
            metrics.commit_failures.inc()
            log.error("commit_refused", error=type(error.__cause__).__name__)
            self._refuse(batch, Internal)
            return
        metrics.commit_seconds.observe(trio.current_time() - started)
        metrics.commit_events.observe(len(rows))
        self._hand_over(batch, rows)

    async def _append_events(self, batch: list[_Waiting]) -> list[Row]:
        events = [event for waiting in batch for event in waiting.taken]
        return await self._database.fetch(
            "SELECT seq, fresh, epoch FROM append_events($1, $2, $3, $4, $5, $6, $7)",
            [waiting.user_id for waiting in batch for _ in waiting.taken],
            [event.id for event in events],
            [event.event_type for event in events],
            [event.task_id for event in events],
            [event.ts for event in events],
            [event.received_at for event in events],
            [event.payload for event in events],
        )

    def _hand_over(self, batch: list[_Waiting], rows: list[Row]) -> None:
        """Deliver what is new, a user at a time, then wake those who wait."""
        answers = iter(rows)
        fresh: dict[UUID, list[Event]] = {}
        for waiting in batch:
            new = fresh.setdefault(waiting.user_id, [])
            for event, (seq, is_fresh, epoch) in zip(waiting.taken, answers, strict=False):
                if epoch is None:
                    waiting.problem = InvalidToken("The user is gone.", reason="revoked")
                    continue
                waiting.receipts.append(Receipt(event.id, epoch, seq, not is_fresh))
                if is_fresh:
                    new.append(_committed(event, epoch, seq))
        for user_id, events in fresh.items():
            if events:
                self._deliver(user_id, events)
        for waiting in batch:
            waiting.done.set()

    @staticmethod
    def _refuse(batch: list[_Waiting], problem: type[Problem]) -> None:
        for waiting in batch:
            waiting.problem = problem()
            waiting.done.set()

    async def head(self, user_id: UUID) -> Head:
        """Where a stream stands. Raises InvalidToken when the user is gone, DatabaseAway."""
        return await select_head(self._database, user_id)

    async def heads(self, user_ids: list[UUID]) -> dict[UUID, int]:
        """The last seq of each of these users' streams, for those that have one."""
        return await select_heads(self._database, user_ids)

    async def read(
        self, user_id: UUID, after: int, limit: int = PAGE_EVENTS, most_bytes: int = PAGE_BYTES
    ) -> Page:
        """Stored events past `after`, in order: at least one if there is one, few enough to hold.

        Raises InvalidToken when the user is gone, DatabaseAway.
        """
        return await select_page(self._database, user_id, after, limit, most_bytes)

    async def read_many(self, after: Mapping[UUID, int]) -> dict[UUID, list[Event]]:
        """What comes next in each of these streams, together at most what one commit holds.

        One query for all of them. Raises DatabaseAway.
        """
        return await select_events(self._database, after, MAX_COMMIT_EVENTS, MAX_COMMIT_BYTES)


def _committed(event: NewEvent, epoch: str, seq: int) -> Event:
    return Event(
        epoch=epoch,
        seq=seq,
        id=event.id,
        event_type=event.event_type,
        task_id=event.task_id,
        ts=event.ts,
        payload=event.payload,
        received_at=event.received_at,
    )
