"""Batches lookups by key: calls that arrive while a query is under way share the next one.

Many readers connect at once after a restart or a network failure, and each makes the same lookups.
A single lookup is not delayed to fill a batch.
"""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import trio

from relay.db.pool import DATABASE_ERRORS
from relay.errors import DatabaseAway

MAX_CONCURRENT_QUERIES = 2  # so that a connection that hangs does not delay all lookups
OVERLAP_AFTER_SECONDS = 0.01  # after this time the next query starts beside the one under way
MAX_KEYS = 256  # in one query

Key = TypeVar("Key")
Value = TypeVar("Value")


class _PendingLookup(Generic[Value]):
    """The pending lookup of one key; `failure` is the error of its query."""

    __slots__ = ("done", "failure", "value")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.value: Value | None = None
        self.failure: Exception | None = None

    def answer(self, value: Value | None) -> None:
        self.value = value
        self.done.set()

    def fail(self, failure: Exception) -> None:
        self.failure = failure
        self.done.set()


class BatchedLookup(Generic[Key, Value]):
    """Looks up keys with `select`, while `run` runs.

    The bounds on streams and requests bound the number of pending lookups, too.
    """

    def __init__(self, select: Callable[[list[Key]], Awaitable[dict[Key, Value]]]) -> None:
        self._select = select
        self._pending: dict[Key, _PendingLookup[Value]] = {}
        self._changed = trio.Event()
        self._free = trio.Semaphore(MAX_CONCURRENT_QUERIES)

    async def find(self, key: Key) -> Value | None:
        """Look up one key, as of now or later; None if it does not exist. Raises DatabaseAway."""
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = _PendingLookup()
            self._changed.set()
        await pending.done.wait()
        if pending.failure is not None:
            raise DatabaseAway() from pending.failure
        return pending.value

    async def run(self) -> None:
        """Run queries for pending lookups until cancelled."""
        async with trio.open_nursery() as queries:
            while True:
                await self._free.acquire()
                while not self._pending:
                    self._changed = trio.Event()
                    await self._changed.wait()
                keys = list(self._pending)[:MAX_KEYS]
                done = trio.Event()
                pending = {key: self._pending.pop(key) for key in keys}
                queries.start_soon(self._answer, pending, done)
                with trio.move_on_after(OVERLAP_AFTER_SECONDS):
                    await done.wait()

    async def _answer(self, pending: dict[Key, _PendingLookup[Value]], done: trio.Event) -> None:
        try:
            results = await self._select(list(pending))
        except DATABASE_ERRORS as error:
            # Lookups that came meanwhile fail, too, rather than wait for a second timeout.
            later, self._pending = self._pending, {}
            # Not joined by key: both may have the same one, each with callers of its own.
            for lookup in (*pending.values(), *later.values()):
                lookup.fail(error)
        else:
            for key, lookup in pending.items():
                lookup.answer(results.get(key))
        finally:
            self._free.release()
            done.set()
