"""The bounded queue of append requests: in order, with one commit at a time for each user."""

from collections import OrderedDict
from collections.abc import Sequence
from uuid import UUID

import trio

from relay.errors import DatabaseAway, Draining, JournalFull, Problem
from relay.events import NewEvent, Receipt
from relay.observability import metrics

MAX_COMMIT_EVENTS = 1_000  # in one commit: about 10 ms of the database's time
MAX_COMMIT_BYTES = 4 * 2**20  # payload bytes in one commit


class AppendRequest:
    """One request's events until their commit, and its outcome: receipts or a problem."""

    __slots__ = ("done", "events", "problem", "receipts", "size", "user_id")

    def __init__(self, user_id: UUID, events: Sequence[NewEvent]) -> None:
        self.user_id = user_id
        self.events = events
        self.size = sum([len(event.payload) for event in events])
        self.done = trio.Event()
        self.receipts: list[Receipt] = []
        self.problem: Problem | None = None


class AppendQueue:
    """`events` and payload `bytes` count all requests that wait or are being committed.

    Each queued request gets an outcome within `timeout` seconds: from its commit, or else from
    `expire`.
    """

    def __init__(self, max_events: int, max_bytes: int, timeout: float) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._timeout = timeout
        self.events = 0
        self.bytes = 0
        self._pending: dict[AppendRequest, None] = {}
        # earliest first; not a dict, of which the first key is found past all deleted ones
        self._deadlines: OrderedDict[AppendRequest, float] = OrderedDict()
        self._committing: set[UUID] = set()
        self._changed = trio.Event()
        self._closed = False

    @property
    def is_idle(self) -> bool:
        """Whether no request waits and none is being committed."""
        return not (self._pending or self._committing)

    def is_committing(self, user_id: UUID) -> bool:
        """Whether a commit has this user's requests."""
        return user_id in self._committing

    def reserve(self, request: AppendRequest) -> None:
        """Reserve space for a request until `release`. Raises JournalFull or Draining."""
        if self._closed:
            raise Draining()
        events, size = self.events + len(request.events), self.bytes + request.size
        if events > self._max_events or size > self._max_bytes:
            metrics.journal_full.inc()
            raise JournalFull()
        self.events, self.bytes = events, size

    def put(self, request: AppendRequest) -> None:
        """Queue a request, after `reserve`, for the next commit."""
        self._pending[request] = None
        self._deadlines[request] = trio.current_time() + self._timeout
        self._changed.set()

    def release(self, request: AppendRequest) -> None:
        """Release a request's space. A request that no commit has taken yet is dropped."""
        self.events -= len(request.events)
        self.bytes -= request.size
        self._pending.pop(request, None)
        self._deadlines.pop(request, None)
        if self._closed:  # `wait_for_batch` may wait for the last request
            self._changed.set()

    def close(self) -> None:
        """Refuse new requests; those that wait can still be taken."""
        self._closed = True
        self._changed.set()

    async def expire(self) -> None:
        """Fail each queued request at its deadline. Never returns.

        All wait for the same time, so one timer for the earliest is enough.
        """
        while True:
            now = trio.current_time()
            until = next(iter(self._deadlines.values()), now + self._timeout)
            if until > now:
                await trio.sleep_until(until)
            else:
                self._fail(next(iter(self._deadlines)))

    def fail_all(self) -> None:
        """Fail the queued requests: no commit will take them."""
        for request in list(self._deadlines):
            self._fail(request)

    def _fail(self, request: AppendRequest) -> None:
        self._pending.pop(request, None)
        del self._deadlines[request]
        if not request.done.is_set():
            request.problem = DatabaseAway()
            request.done.set()

    async def wait_for_batch(self) -> bool:
        """Wait until there is a batch to take. Returns False once closed and all is committed."""
        while not any(request.user_id not in self._committing for request in self._pending):
            if self._closed and self.is_idle:
                return False
            self._changed = trio.Event()
            await self._changed.wait()
        return True

    def take(self) -> list[AppendRequest]:
        """Take the requests for the next commit. Call `finish` when it has ended.

        Requests of a user with a commit under way stay queued: a user's commits run one after the
        other, so that they end in the order of the events.
        """
        batch: list[AppendRequest] = []
        events = size = 0
        for request in self._pending:
            if request.user_id in self._committing:
                continue
            batch.append(request)
            events += len(request.events)
            size += request.size
            if events >= MAX_COMMIT_EVENTS or size >= MAX_COMMIT_BYTES:
                break
        for request in batch:
            del self._pending[request]
        self._committing.update([request.user_id for request in batch])
        return batch

    def take_single(self, request: AppendRequest) -> list[AppendRequest]:
        """Take a request right after `reserve`, without queueing it; only while `is_idle`."""
        self._committing.add(request.user_id)
        return [request]

    def finish(self, batch: list[AppendRequest]) -> None:
        """Note that this batch's commit has ended, successfully or not."""
        self._committing.difference_update([request.user_id for request in batch])
        if self._pending or self._closed:
            self._changed.set()
