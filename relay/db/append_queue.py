"""What waits for its commit: bounded, in order, and of each user one commit at a time."""

from collections.abc import Sequence
from uuid import UUID

import trio

from relay.errors import Draining, JournalFull, Problem
from relay.events import NewEvent, Receipt
from relay.observability import metrics

MAX_COMMIT_EVENTS = 1_000  # events of one commit: about 10 ms of the database's time
MAX_COMMIT_BYTES = 4 * 2**20  # payload bytes of one commit


class Waiting:
    """One request's events on their way into a commit, and what became of them."""

    __slots__ = ("done", "events", "problem", "receipts", "size", "user_id")

    def __init__(self, user_id: UUID, events: Sequence[NewEvent]) -> None:
        self.user_id = user_id
        self.events = events
        self.size = sum([len(event.payload) for event in events])
        self.done = trio.Event()
        self.receipts: list[Receipt] = []
        self.problem: Problem | None = None


class Queue:
    """`events` and `bytes` are what waits or is being committed, in payload bytes."""

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
        """Nothing waits, and nothing is being committed."""
        return not (self._waiting or self._committing)

    def enter(self, waiting: Waiting) -> None:
        """Count a request in, until it leaves. Raises JournalFull or Draining."""
        if self._closed:
            raise Draining()
        events, size = self.events + len(waiting.events), self.bytes + waiting.size
        if events > self._most_events or size > self._most_bytes:
            metrics.journal_full.inc()
            raise JournalFull()
        self.events, self.bytes = events, size

    def put(self, waiting: Waiting) -> None:
        """Let a request that has entered wait for the next commit."""
        self._waiting[waiting] = None
        self._news.set()

    def leave(self, waiting: Waiting) -> None:
        """Nobody waits for it any more; if no commit has it yet, none will."""
        self.events -= len(waiting.events)
        self.bytes -= waiting.size
        self._waiting.pop(waiting, None)
        if self._closed:  # it may have been the last
            self._news.set()

    def close(self) -> None:
        """Take no more; what waits can still be had."""
        self._closed = True
        self._news.set()

    async def ready(self) -> bool:
        """Wait until there is a batch to take; False once closed and everything is committed."""
        while not any(waiting.user_id not in self._committing for waiting in self._waiting):
            if self._closed and self.idle:
                return False
            self._news = trio.Event()
            await self._news.wait()
        return True

    def take(self) -> list[Waiting]:
        """What the next commit holds. Call `committed` when it has ended.

        Who has a commit under way is not in it: a user's commits come one after the other, so
        the order they end in is the order of the events.
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
        """One that has entered, before it waits at all; only while `idle`."""
        self._committing.add(waiting.user_id)
        return [waiting]

    def committed(self, batch: list[Waiting]) -> None:
        """This batch's commit has ended, well or not."""
        self._committing.difference_update([waiting.user_id for waiting in batch])
        if self._waiting or self._closed:
            self._news.set()
