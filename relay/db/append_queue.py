"""The bounded queue of append requests: in order, with one commit at a time for each user."""

from collections.abc import Sequence
from uuid import UUID

import trio

from relay.errors import Draining, JournalFull, Problem
from relay.events import NewEvent, Receipt
from relay.observability import metrics

MAX_COMMIT_EVENTS = 1_000  # in one commit: about 10 ms of the database's time
MAX_COMMIT_BYTES = 4 * 2**20  # payload bytes in one commit


class Waiting:
    """One request's events until their commit, and its outcome: receipts or a problem."""

    __slots__ = ("done", "events", "problem", "receipts", "size", "user_id")

    def __init__(self, user_id: UUID, events: Sequence[NewEvent]) -> None:
        self.user_id = user_id
        self.events = events
        self.size = sum([len(event.payload) for event in events])
        self.done = trio.Event()
        self.receipts: list[Receipt] = []
        self.problem: Problem | None = None


class Queue:
    """`events` and payload `bytes` count all requests that wait or are being committed."""

    def __init__(self, most_events: int, most_bytes: int) -> None:
        self._most_events = most_events
        self._most_bytes = most_bytes
        self.events = 0
        self.bytes = 0
        self._waiting: dict[Waiting, None] = {}
        self._committing: set[UUID] = set()
        self._news = trio.Event()
        self._closed = False

    @property
    def idle(self) -> bool:
        """Whether no request waits and none is being committed."""
        return not (self._waiting or self._committing)

    def enter(self, waiting: Waiting) -> None:
        """Reserve space for a request until `leave`. Raises JournalFull or Draining."""
        if self._closed:
            raise Draining()
        events, size = self.events + len(waiting.events), self.bytes + waiting.size
        if events > self._most_events or size > self._most_bytes:
            metrics.journal_full.inc()
            raise JournalFull()
        self.events, self.bytes = events, size

    def put(self, waiting: Waiting) -> None:
        """Queue a request, after `enter`, for the next commit."""
        self._waiting[waiting] = None
        self._news.set()

    def leave(self, waiting: Waiting) -> None:
        """Release a request's space. A request that no commit has taken yet is dropped."""
        self.events -= len(waiting.events)
        self.bytes -= waiting.size
        self._waiting.pop(waiting, None)
        if self._closed:  # `ready` may wait for the last request
            self._news.set()

    def close(self) -> None:
        """Refuse new requests; those that wait can still be taken."""
        self._closed = True
        self._news.set()

    async def ready(self) -> bool:
        """Wait until there is a batch to take. Returns False once closed and all is committed."""
        while not any(waiting.user_id not in self._committing for waiting in self._waiting):
            if self._closed and self.idle:
                return False
            self._news = trio.Event()
            await self._news.wait()
        return True

    def take(self) -> list[Waiting]:
        """Take the requests for the next commit. Call `committed` when it has ended.

        Requests of a user with a commit under way stay queued: a user's commits run one after the
        other, so that they end in the order of the events.
        """
        batch: list[Waiting] = []
        events = size = 0
        for waiting in self._waiting:
            if waiting.user_id in self._committing:
                continue
            batch.append(waiting)
            events += len(waiting.events)
            size += waiting.size
            if events >= MAX_COMMIT_EVENTS or size >= MAX_COMMIT_BYTES:
                break
        for waiting in batch:
            del self._waiting[waiting]
        self._committing.update([waiting.user_id for waiting in batch])
        return batch

    def take_alone(self, waiting: Waiting) -> list[Waiting]:
        """Take a request right after `enter`, without queueing it; only while `idle`."""
        self._committing.add(waiting.user_id)
        return [waiting]

    def committed(self, batch: list[Waiting]) -> None:
        """Note that this batch's commit has ended, successfully or not."""
        self._committing.difference_update([waiting.user_id for waiting in batch])
        if self._waiting or self._closed:
            self._news.set()
