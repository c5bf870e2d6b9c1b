"""Where streams stand, asked by many at once: who comes while a query is under way shares the next.

Readers come in crowds (a restart, a network back), and each asks this one thing first. Nobody
waits for a crowd to gather.
"""

from uuid import UUID

import trio

from relay.db.pages import select_heads
from relay.db.pool import UNANSWERED, Database
from relay.errors import DatabaseAway, InvalidToken
from relay.events import Head

QUERIES = 2  # under way at once: a connection that hangs does not hold up everybody
BESIDE = 0.01  # seconds a query may take before the next begins beside it, and is shared by fewer
MOST_USERS = 256  # streams of one query


class _Asked:
    """One user's stream, for whoever waits for it; `failure` is why there is no answer."""

    __slots__ = ("answered", "failure", "head")

    def __init__(self) -> None:
        self.answered = trio.Event()
        self.head: Head | None = None
        self.failure: Exception | None = None


class Heads:
    """`run` answers; as many wait at most as streams and requests may be open."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asked: dict[UUID, _Asked] = {}
        self._news = trio.Event()
        self._free = trio.Semaphore(QUERIES)

    async def head(self, user_id: UUID) -> Head:
        """As it stands now or later. Raises InvalidToken when the user is gone, DatabaseAway."""
        asked = self._asked.get(user_id)
        if asked is None:
            asked = self._asked[user_id] = _Asked()
            self._news.set()
        await asked.answered.wait()
        if asked.failure is not None:
            raise DatabaseAway() from asked.failure
        if asked.head is None:
            raise InvalidToken("The user is gone.", reason="revoked")
        return asked.head

    async def run(self) -> None:
        """Answer, until cancelled."""
        async with trio.open_nursery() as queries:
            while True:
                await self._free.acquire()
                while not self._asked:
                    self._news = trio.Event()
                    await self._news.wait()
                users = list(self._asked)[:MOST_USERS]
                done = trio.Event()
                asked = {user: self._asked.pop(user) for user in users}
                queries.start_soon(self._answer, asked, done)
                with trio.move_on_after(BESIDE):
                    await done.wait()

    async def _answer(self, asked: dict[UUID, _Asked], done: trio.Event) -> None:
        failure, heads = None, {}
        try:
            heads = await select_heads(self._database, list(asked))
        except UNANSWERED as error:
            # who came meanwhile shares it: nobody waits for two deadlines, one after the other
            failure, asked, self._asked = error, asked | self._asked, {}
        finally:
            self._free.release()
            done.set()
        for user_id, one in asked.items():
            one.head, one.failure = heads.get(user_id), failure
            one.answered.set()
