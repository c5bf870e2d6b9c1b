"""One query for many who ask the same of different keys: who comes while one is under way shares
the next.

Readers come in crowds (a restart, a network back), and each asks the same few things first. Nobody
waits for a crowd to gather.
"""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import trio

from relay.db.pool import UNANSWERED
from relay.errors import DatabaseAway

QUERIES = 2  # under way at once: a connection that hangs does not hold up everybody
BESIDE = 0.01  # seconds a query may take before the next begins beside it, and is shared by fewer
MOST_KEYS = 256  # of one query

Key = TypeVar("Key")
Found = TypeVar("Found")


class _Asked(Generic[Found]):
    """One key, for whoever waits for it; `failure` is why there is no answer."""

    __slots__ = ("answered", "failure", "found")

    def __init__(self) -> None:
        self.answered = trio.Event()
        self.found: Found | None = None
        self.failure: Exception | None = None


class SharedQuery(Generic[Key, Found]):
    """`select` finds what there is to these keys, and `run` has it do so.

    As many wait at most as streams and requests may be open.
    """

    def __init__(self, select: Callable[[list[Key]], Awaitable[dict[Key, Found]]]) -> None:
        self._select = select
        self._asked: dict[Key, _Asked[Found]] = {}
        self._news = trio.Event()
        self._free = trio.Semaphore(QUERIES)

    async def find(self, key: Key) -> Found | None:
        """What is stored now or later; None: nothing is. Raises DatabaseAway."""
        asked = self._asked.get(key)
        if asked is None:
            asked = self._asked[key] = _Asked()
            self._news.set()
        await asked.answered.wait()
        if asked.failure is not None:
            raise DatabaseAway() from asked.failure
        return asked.found

    async def run(self) -> None:
        """Answer, until cancelled."""
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
        found: dict[Key, Found] = {}
        try:
            found = await self._select(list(asked))
        except UNANSWERED as error:
            # who came meanwhile shares it: nobody waits for two deadlines, one after the other
            failure, asked, self._asked = error, asked | self._asked, {}
        finally:
            self._free.release()
            done.set()
        for key, one in asked.items():
            one.found, one.failure = found.get(key), failure
            one.answered.set()
