"""The durable log: append in group commits, read from a cursor.

Group commit: whatever waits when a commit ends goes into the next one, in one statement. Nobody
waits for a batch to fill: while one commit is under way the next gathers. One that takes long
(a lock, a slow disk, a far database) does not hold up the others for more than PATIENCE: the next
goes beside it, without the users it has, so that a user's commits end in the order of their seqs.

Where little is going on there is nobody to gather: who comes then commits for itself, at once.
"""

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

import structlog
import trio

from relay.db.append import settle, statement
from relay.db.append_queue import MAX_COMMIT_BYTES, MAX_COMMIT_EVENTS, Queue, Waiting
from relay.db.pages import Page, Stored, select_events, select_heads, select_page
from relay.db.pool import Database, Row, RowRefused, StatementFailed
from relay.errors import (
    DatabaseAway,
    DiskFull,
    Internal,
    Invalid,
    Problem,
)
from relay.events import Event, Head, NewEvent, Receipt
from relay.observability import metrics

COMMITS = 4  # under way at once, each on a connection of the pool
PATIENCE = 0.01  # seconds until the next goes beside it: most end sooner, and few are cheaper
LARGE = 64  # events of a commit that nobody waits for: beside it the next one costs little
PAGE_EVENTS = 256  # events of one read: what an inbox holds, so that no reader holds more
PAGE_BYTES = 2**20

log = structlog.get_logger("relay.journal")

Deliver = Callable[[UUID, list[Event]], None]


class Journal:
    """`deliver` is called with each user's new events, right after their commit, in seq order.

    `recheck` is called with users whose last commit's outcome is not known, and with those whose
    producer repeated an event, and its seq: perhaps since nobody was told how the first try ended.
    """

    def __init__(
        self,
        database: Database,
        deliver: Deliver,
        recheck: Callable[[UUID, int | None], None],
        *,
        queue_events: int,
        queue_bytes: int,
        readers: int,
        timeout: float,
    ) -> None:
        self._database = database
        self._deliver = deliver
        self._recheck = recheck
        self._timeout = timeout
        self.disk_full = False  # set by who watches the disk: take nothing more
        self._queue = Queue(queue_events, queue_bytes)
        self._free = trio.Semaphore(COMMITS)
        self._latest: _Commit | None = None
        self._readers = trio.CapacityLimiter(readers)

    @property
    def waiting_events(self) -> int:
        return self._queue.events

    @property
    def waiting_bytes(self) -> int:
        """Of payloads."""
        return self._queue.bytes

    @property
    def waiting_readers(self) -> int:
        return self._readers.statistics().tasks_waiting

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Commit until `close()`; returns once everything accepted is committed or refused."""
        try:
            async with trio.open_nursery() as commits:
                task_status.started()
                while await self._queue.ready():
                    if self._latest is not None:
                        await self._latest.over_or_long()
                    await self._free.acquire()
                    if batch := self._queue.take():
                        commits.start_soon(self._carry_out, batch, self._begin(batch))
                    else:  # whoever waited has left
                        self._free.release()
        finally:
            self.close()  # whoever comes when nobody commits is refused, and does not wait

    def close(self) -> None:
        """Take no more; what waits is still committed."""
        self._queue.close()

    async def append(self, user_id: UUID, events: Sequence[NewEvent]) -> list[Receipt]:
        """Store one user's events, all or none; returns after the commit, in their order.

        They were received at one moment: that of the first is stored for all of them.
        Raises JournalFull or DiskFull at once, DatabaseAway within the timeout (the events may
        yet be stored: a retry with the same ids tells), InvalidToken when the user is gone,
        Invalid when the database refuses a value.
        """
        if self.disk_full:
            raise DiskFull()
        waiting = Waiting(user_id, events)
        self._queue.enter(waiting)
        try:
            if self._is_quiet():
                batch = self._queue.take_alone(waiting)
                self._free.acquire_nowait()  # nobody commits, so one is free
                with trio.CancelScope(shield=True):  # what has begun ends, within its deadline
                    await self._carry_out(batch, self._begin(batch))
            else:
                self._queue.put(waiting)
                with trio.move_on_after(self._timeout):
                    await waiting.done.wait()
        finally:
            self._queue.leave(waiting)
        if not waiting.done.is_set():
            raise DatabaseAway()
        if waiting.problem is not None:
            raise waiting.problem
        return waiting.receipts

    def _is_quiet(self) -> bool:
        """Nobody else waits or commits, and the latest commit found nobody to gather either.

        A crowd's first must not run ahead: the others would gather behind its commit, and it
        behind theirs, two commits for each round of them.
        """
        return self._queue.idle and (self._latest is None or self._latest.of_one)

    def _begin(self, batch: list[Waiting]) -> "_Commit":
        self._latest = _Commit(batch)
        return self._latest

    async def _carry_out(self, batch: list[Waiting], commit: "_Commit") -> None:
        """Gives back the place among the COMMITS that was taken for it."""
        try:
            await self._commit(batch)
        finally:
            self._queue.committed(batch)
            self._free.release()
            commit.over.set()

    async def _commit(self, batch: list[Waiting]) -> None:
        started = trio.current_time()
        try:
            rows = await self._append_events(batch)
        except DatabaseAway:
            metrics.commit_failures.inc()
            self._refuse(batch, DatabaseAway)
            for user_id in {waiting.user_id for waiting in batch}:
                self._recheck(user_id, None)
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
        ended = trio.current_time()
        self._hand_over(batch, rows)
        metrics.commit_seconds.observe(ended - started)
        metrics.commit_events.observe(sum([len(waiting.events) for waiting in batch]))

    async def _append_events(self, batch: list[Waiting]) -> list[Row]:
        return await self._database.fetch_steadily(*statement(batch))

    def _hand_over(self, batch: list[Waiting], rows: list[Row]) -> None:
        """Deliver what is new, a user at a time, then wake those who wait."""
        fresh: dict[UUID, list[Event]] = {}
        repeated: list[Waiting] = []
        for waiting, row in zip(batch, rows, strict=True):
            new = settle(waiting, row)
            fresh.setdefault(waiting.user_id, []).extend(new)
            if len(new) < len(waiting.receipts):
                repeated.append(waiting)
        for user_id, events in fresh.items():
            if events:
                self._deliver(user_id, events)
        for waiting in repeated:
            furthest = max([receipt.seq for receipt in waiting.receipts if receipt.duplicate])
            self._recheck(waiting.user_id, furthest)
        for waiting in batch:
            waiting.done.set()

    @staticmethod
    def _refuse(batch: list[Waiting], problem: type[Problem]) -> None:
        for waiting in batch:
            waiting.problem = problem()
            waiting.done.set()

    async def heads(self, user_ids: list[UUID]) -> dict[UUID, Head]:
        """Where each of these users' streams stands, for those that have one."""
        return await select_heads(self._database, user_ids)

    async def read(
        self, user_id: UUID, after: int, limit: int = PAGE_EVENTS, most_bytes: int = PAGE_BYTES
    ) -> Page:
        """Stored events past `after`, in order: at least one if there is one, few enough to hold.

        Readers take turns, so that a crowd that comes back leaves connections to everybody else.
        Raises InvalidToken when the user is gone, DatabaseAway within twice the timeout.
        """
        with trio.move_on_after(self._timeout) as in_line:
            await self._readers.acquire()
        if in_line.cancelled_caught:
            raise DatabaseAway()
        try:
            return await select_page(self._database, user_id, after, limit, most_bytes)
        finally:
            self._readers.release()

    async def read_many(self, after: Mapping[UUID, int]) -> dict[UUID, list[Stored]]:
        """What comes next in each of these streams, together at most what one commit holds.

        One query for all of them. Raises DatabaseAway.
        """
        return await select_events(self._database, after, MAX_COMMIT_EVENTS, MAX_COMMIT_BYTES)


class _Commit:
    """One under way."""

    __slots__ = ("_long_at", "of_one", "over")

    def __init__(self, batch: list[Waiting]) -> None:
        large = sum([len(waiting.events) for waiting in batch]) >= LARGE
        self.of_one = len(batch) == 1
        self.over = trio.Event()
        self._long_at = trio.current_time() + (0.0 if large else PATIENCE)

    async def over_or_long(self) -> None:
        """Return when the next may begin."""
        with trio.move_on_at(self._long_at):
            await self.over.wait()
