"""The durable log: append in group commits, read from a cursor.

Group commit: all requests that wait when a commit ends go into the next one, in one statement.
No request waits for a batch to fill; the next batch gathers while a commit is under way. A slow
commit (a lock, a slow disk, a far database) delays the others for `OVERLAP_AFTER_SECONDS` only:
then the next starts beside it. That one leaves out the users of the first, so that a user's
commits end in the order of their seqs.

A request that arrives while the journal is idle is committed at once, in its own task.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import structlog
import trio

from relay.db.append import build_statement, record_outcome
from relay.db.append_queue import MAX_COMMIT_BYTES, MAX_COMMIT_EVENTS, AppendQueue, AppendRequest
from relay.db.pages import EventPage, StoredEvent, select_events, select_heads, select_page
from relay.db.pool import Database, Row, RowRefused, StatementFailed
from relay.db.reader_turns import ReaderTurns
from relay.errors import (
    DatabaseAway,
    DiskFull,
    Internal,
    Invalid,
    Problem,
)
from relay.events import Event, NewEvent, Receipt, StreamHead, utc_now
from relay.observability import metrics

MAX_CONCURRENT_COMMITS = 4  # each on a connection of the pool
# Most commits end sooner, and few large commits cost less than many small ones.
OVERLAP_AFTER_SECONDS = 0.01
# Beside a commit this large the next one starts at once: it adds little cost.
LARGE_COMMIT_EVENTS = 64
# Of one read. Its fixed costs are those of 300 small events, so a page has more than that. The
# bound of bytes is for memory: a slow reader keeps a page until its client has taken it. It is
# 8 KiB below what one write takes, because a page's last event may reach beyond it.
PAGE_EVENTS = 512
PAGE_BYTES = 2**18 - 2**13

log = structlog.get_logger("relay.journal")

Deliver = Callable[[UUID, list[Event]], None]
Clock = Callable[[], datetime]


class Journal:
    """Stores events, and reads them.

    `deliver` is called with each user's new events right after their commit, in seq order.
    `recheck` is called for a user whose last commit has an unknown outcome. It is also called with
    the seq of a duplicate: the result of the commit that stored the event may have been lost.
    `now` is the clock of the events' `received_at`, the database's.
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
        now: Clock = utc_now,
    ) -> None:
        self._database = database
        self._deliver = deliver
        self._recheck = recheck
        self.now = now
        self.disk_full = False  # set by `watch_disk`: events are refused while it is true
        self._queue = AppendQueue(queue_events, queue_bytes, timeout)
        self._free = trio.Semaphore(MAX_CONCURRENT_COMMITS)
        self._latest: _Commit | None = None
        # a user alone has all turns: no other reader waits for them
        self.turns = ReaderTurns(of_user=readers, of_all=readers, timeout=timeout)

    @property
    def waiting_events(self) -> int:
        return self._queue.events

    @property
    def waiting_bytes(self) -> int:
        """Payload bytes of the events that wait or are being committed."""
        return self._queue.bytes

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Commit until `close()`; returns once every accepted event is committed or refused."""
        try:
            async with trio.open_nursery() as timers:
                timers.start_soon(self._queue.expire)
                await timers.start(self._database.keep_pinned)
                async with trio.open_nursery() as commits:
                    task_status.started()
                    await self._start_commits(commits)
                timers.cancel_scope.cancel()
        finally:
            self.close()  # without this task no commit would follow, so new requests are refused
            self._queue.fail_all()

    async def _start_commits(self, commits: trio.Nursery) -> None:
        """Start a commit as soon as one may begin.

        While posts are parsed, a pass of the scheduler takes milliseconds, in which the database
        would have nothing to do. So it makes no checkpoint where there is nothing to wait for.
        """
        while await self._queue.wait_for_batch():
            if self._latest is not None:
                await self._latest.wait_until_ended_or_slow()
            try:
                self._free.acquire_nowait()
            except trio.WouldBlock:
                await self._free.acquire()
            if batch := self._queue.take():
                commits.start_soon(self._run_commit, batch, self._begin(batch))
            else:  # the requests that waited have been cancelled
                self._free.release()

    def close(self) -> None:
        """Refuse new events; those that wait are still committed."""
        self._queue.close()

    async def append(self, user_id: UUID, events: Sequence[NewEvent]) -> list[Receipt]:
        """Store one user's events, all or none; returns their receipts in order, after the commit.

        The `received_at` of the first event is stored for all of them.
        Raises JournalFull or DiskFull at once, DatabaseAway within the timeout (the events may
        still be stored; a retry with the same ids returns their seqs), UserGone when the user
        no longer exists, Invalid when the database refuses a value.
        """
        if self.disk_full:
            raise DiskFull()
        request = AppendRequest(user_id, events)
        self._queue.reserve(request)
        try:
            if self._can_commit_alone():
                batch = self._queue.take_single(request)
                self._free.acquire_nowait()  # no commit is under way, so this does not block
                # whatever becomes of the request, its commit is finished
                await self._run_commit(batch, self._begin(batch), to_end=True)
            else:
                self._queue.put(request)
                await request.done.wait()
        finally:
            self._queue.release(request)
        if request.problem is not None:
            raise request.problem
        return request.receipts

    def _can_commit_alone(self) -> bool:
        """Whether no request waits or commits, and the last commit had a single request.

        After a larger commit the next requests are likely to come together. If the first of them
        committed alone, the others would wait for its commit and its successor for theirs: two
        commits where one is enough.
        """
        return self._queue.is_idle and (self._latest is None or self._latest.is_single)

    def _begin(self, batch: list[AppendRequest]) -> "_Commit":
        self._latest = _Commit(batch)
        return self._latest

    async def _run_commit(
        self, batch: list[AppendRequest], commit: "_Commit", *, to_end: bool = False
    ) -> None:
        """Run one commit, then release the place that was acquired for it in `_free`.

        With `to_end` a cancellation does not end it: the statement has a timeout of its own.
        """
        try:
            await self._commit(batch, to_end=to_end)
        finally:
            self._queue.finish(batch)
            self._free.release()
            commit.finished.set()

    async def _commit(self, batch: list[AppendRequest], *, to_end: bool = False) -> None:
        started = trio.current_time()
        try:
            rows = await self._append_events(batch, to_end=to_end)
        except DatabaseAway:
            metrics.commit_failures.inc()
            self._fail(batch, DatabaseAway)
            for user_id in {request.user_id for request in batch}:
                self._recheck(user_id, None)
            return
        except RowRefused:
            # Commit each request by itself, so that only those with refused data fail.
            if len(batch) > 1:
                for request in batch:
                    await self._commit([request], to_end=to_end)
                return
            log.warning("row_refused")  # without the driver's message, which quotes the payload
            self._fail(batch, _refused_value)
            return
        except StatementFailed as error:  # not the data: the schema or Relay's rights in it
            metrics.commit_failures.inc()
            log.error("commit_refused", error=type(error.__cause__).__name__)
            self._fail(batch, Internal)
            return
        ended = trio.current_time()
        self._deliver_new(batch, rows)
        metrics.commit_seconds.observe(ended - started)
        metrics.commit_events.observe(sum([len(request.events) for request in batch]))

    async def _append_events(self, batch: list[AppendRequest], *, to_end: bool) -> list[Row]:
        return await self._database.fetch_pinned(*build_statement(batch), to_end=to_end)

    def _deliver_new(self, batch: list[AppendRequest], rows: list[Row]) -> None:
        """Deliver the new events of each user, then complete the requests."""
        fresh: dict[UUID, list[Event]] = {}
        repeated: list[AppendRequest] = []
        for request, row in zip(batch, rows, strict=True):
            new = record_outcome(request, row)
            fresh.setdefault(request.user_id, []).extend(new)
            if len(new) < len(request.receipts):
                repeated.append(request)
        for user_id, events in fresh.items():
            if events:
                self._deliver(user_id, events)
        for request in repeated:
            furthest = max([receipt.seq for receipt in request.receipts if receipt.duplicate])
            self._recheck(request.user_id, furthest)
        for request in batch:
            request.done.set()

    @staticmethod
    def _fail(batch: list[AppendRequest], problem: Callable[[], Problem]) -> None:
        for request in batch:
            request.problem = problem()
            request.done.set()

    def is_storing(self, user_id: UUID) -> bool:
        """Whether a commit of this user's events is under way here, or has just ended.

        Once it is not, they were delivered.
        """
        return self._queue.is_committing(user_id)

    async def heads(self, user_ids: list[UUID]) -> dict[UUID, StreamHead]:
        """The heads of these users' streams; users that do not exist are left out."""
        return await select_heads(self._database, user_ids)

    async def read(
        self, user_id: UUID, after: int, limit: int = PAGE_EVENTS, max_bytes: int = PAGE_BYTES
    ) -> EventPage:
        """Read the next stored events after seq `after`: at least one if there is one.

        It waits for its turn. Raises UserGone when the user no longer exists, `NO_TURN` within
        twice the timeout, and DatabaseAway within three times.
        """
        async with self.turns.turn(user_id):
            return await select_page(self._database, user_id, after, limit, max_bytes)

    async def read_many(self, after: Mapping[UUID, int]) -> dict[UUID, list[StoredEvent]]:
        """Read the next events of each of these streams, in one query for all.

        They are at most as many together as one commit may hold. Raises DatabaseAway.
        """
        return await select_events(self._database, after, MAX_COMMIT_EVENTS, MAX_COMMIT_BYTES)


class _Commit:
    """A commit under way."""

    __slots__ = ("_slow_at", "finished", "is_single")

    def __init__(self, batch: list[AppendRequest]) -> None:
        large = sum([len(request.events) for request in batch]) >= LARGE_COMMIT_EVENTS
        self.is_single = len(batch) == 1
        self.finished = trio.Event()
        self._slow_at = trio.current_time() + (0.0 if large else OVERLAP_AFTER_SECONDS)

    async def wait_until_ended_or_slow(self) -> None:
        """Wait until the next commit may begin: this one has ended, or takes long."""
        if self.finished.is_set() or trio.current_time() >= self._slow_at:
            return
        with trio.move_on_at(self._slow_at):
            await self.finished.wait()


def _refused_value() -> Invalid:
    return Invalid.of("body", "has a value that cannot be stored")
