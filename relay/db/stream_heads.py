"""Batched lookups of stream heads."""

from functools import partial
from uuid import UUID

from relay.db.batched_lookup import BatchedLookup
from relay.db.pages import select_heads
from relay.db.pool import Database
from relay.errors import UserGone
from relay.events import StreamHead


class HeadLookup:
    """Looks up heads while `run` runs."""

    def __init__(self, database: Database) -> None:
        self._query: BatchedLookup[UUID, StreamHead] = BatchedLookup(
            partial(select_heads, database)
        )
        self.run = self._query.run

    async def head(self, user_id: UUID) -> StreamHead:
        """The head of this user's stream, as of now or later.

        Raises UserGone, DatabaseAway.
        """
        head = await self._query.find(user_id)
        if head is None:
            raise UserGone()
        return head
