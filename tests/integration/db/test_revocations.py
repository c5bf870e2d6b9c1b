"""What a process learns of revocations that others have made."""

from uuid import UUID

from relay.db.pool import open_database
from relay.db.tokens import select_revoked
from tests.support.relay_server import Relay


async def test_a_revocation_is_found_after_a_wait_for_its_commit(
    relay: Relay, database_url: str
) -> None:
    """Its time is from before the wait, and so before the last poll, which did not find it."""
    token_id = UUID((await (await relay.user()).token())["token_id"])
    async with open_database(database_url, connections=2, timeout=60) as database:
        ids, until = await select_revoked(database, None)
        assert ids == []
        await database.execute(
            "UPDATE tokens SET revoked_at = now() - interval '60 seconds' WHERE token_id = $1",
            token_id,
        )
        assert (await select_revoked(database, until))[0] == [token_id]
