"""Batches lookups by key: calls that arrive while a query is under way share the next one.

Many readers connect at once after a restart or a network failure, and each makes the same lookups.
A single lookup is not delayed to fill a batch.
"""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import trio

from relay.db.pool import UNANSWERED
from relay.errors import DatabaseAway

QUERIES = 2  # so that a connection that hangs does not delay all lookups
BESIDE = 0.01  # after this time the next query starts beside the one under way
MOST_KEYS = 256  # in one query

Key = TypeVar("Key")
Found = TypeVar("Found")


class _Asked(Generic[Found]):
    """The pending lookup of one key; `failure` is the error of its query."""

    __slots__ = ("answered", "failure", "found")

    def __init__(self) -> None:
        self.answered = trio.Event()
        self.found: Found | None = None
        self.failure: Exception | None = None


class SharedQuery(Generic[Key, Found]):
    """Looks up keys with `select`, while `run` runs.

    The bounds on streams and requests bound the number of pending lookups, too.
    """

    def __init__(self, select: Callable[[list[Key]], Awaitable[dict[Key, Found]]]) -> None:
        self._select = select
        self._asked: dict[Key, _Asked[Found]] = {}
        self._news = trio.Event()
        self._free = trio.Semaphore(QUERIES)

    async def find(self, key: Key) -> Found | None:
        """Look up one key, as of now or later; None if it does not exist. Raises DatabaseAway."""
        asked = self._asked.get(key)
        if asked is None:
            asked = self._asked[key] = _Asked()
            self._news.set()
        await asked.answered.wait()
        if asked.failure is not None:
            raise DatabaseAway() from asked.failure
        return asked.found

    async def run(self) -> None:
        """Run queries for pending lookups until cancelled."""
        async with trio.open_nursery() as queries:
            while True:
                await self._free.acquire()
                while not self._asked:
                    self._news = trio.Event()
                    await self._news.wait()
                keys = list(self._asked)[:MOST_KEYS]
                done = trio.Event()
                asked = {key: self._asked.pop(key) for key in keys}
                queries.start_soon(self._answer, asked, done)
                with trio.move_on_after(BESIDE):
                    await done.wait()

    async def _answer(self, asked: dict[Key, _Asked[Found]], done: trio.Event) -> None:
        failure: Exception | None = None
        results: dict[Key, Found] = {}
        try:
            results = await self._select(list(asked))
        except UNANSWERED as error:
            # Lookups that came meanwhile fail, too, rather than wait for a second timeout.
            failure, asked, self._asked = error, asked | self._asked, {}
        finally:
            self._free.release()
            done.set()
        for key, one in asked.items():
            one.found, one.failure = results.get(key), failure
            one.answered.set()
