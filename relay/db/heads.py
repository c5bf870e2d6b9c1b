"""Where streams stand, asked by many at once."""

from functools import partial
from uuid import UUID

from relay.db.batched_lookup import SharedQuery
from relay.db.pages import select_heads
from relay.db.pool import Database
from relay.errors import InvalidToken
from relay.events import Head


class Heads:
    """`run` answers."""

    def __init__(self, database: Database) -> None:
        self._query: SharedQuery[UUID, Head] = SharedQuery(partial(select_heads, database))
        self.run = self._query.run

    async def head(self, user_id: UUID) -> Head:
        """As it stands now or later. Raises InvalidToken when the user is gone, DatabaseAway."""
        head = await self._query.find(user_id)
        if head is None:
            raise InvalidToken("The user is gone.", reason="revoked")
        return head
