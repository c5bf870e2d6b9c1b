"""The cached heads of streams match the database."""

from uuid import UUID, uuid4

import pytest
import trio

from relay.db.stream_heads import HeadLookup
from relay.errors import InvalidToken
from relay.events import StreamHead
from tests.support.databases import database_of
from tests.support.relay_server import Relay


async def test_heads_match_the_database(
    relay: Relay, database_url: str, nursery: trio.Nursery
) -> None:
    user = await relay.user()
    *_, last = await user.publish(3)
    async with database_of(database_url) as database:
        heads = HeadLookup(database)
        nursery.start_soon(heads.run)
        head = await heads.head(UUID(user.user_id))
        assert (head, f"{head.epoch}.3") == (StreamHead(head.epoch, 1, 3), last["cursor"])
        with pytest.raises(InvalidToken):
            await heads.head(uuid4())
        nursery.cancel_scope.cancel()
