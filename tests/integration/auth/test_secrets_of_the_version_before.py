"""Tickets and links that a process of the version before made work during an upgrade, once."""

from uuid import UUID

import pytest

from relay.auth.one_time_secrets import hash_secret
from relay.db.links import insert_link
from relay.db.tickets import insert_ticket
from tests.support.client.streams import Refused
from tests.support.databases import database_of
from tests.support.relay_server import Relay, open_stream

TICKET, CODE = "t" * 43, "c" * 22  # only their hashes say whose they are


async def test_they_work_once(relay: Relay, database_url: str) -> None:
    user = await relay.user()
    user_id = UUID(user.user_id)
    async with database_of(database_url) as database:
        session_id = await database.fetchval("SELECT session_id FROM sessions")
        await insert_ticket(
            database,
            ticket_hash=hash_secret(TICKET),
            user_id=user_id,
            credential_id=session_id,
            origin=None,
            seconds=300,
        )
        await insert_link(
            database,
            link_hash=hash_secret(CODE),
            session_id=session_id,
            user_id=user_id,
            seconds=300,
            sessions_at_most=9,
        )
    async with open_stream(relay, "sse", None, f"?ticket={TICKET}") as stream:
        await stream.hello()
    redeem = "/api/session/link/redeem"
    opened = await relay.http.post(redeem, json={"code": CODE})
    assert (opened.status_code, opened.json()["user_id"]) == (201, user.user_id)
    assert (await relay.http.post(redeem, json={"code": CODE})).status_code == 410
    with pytest.raises(Refused) as refused:
        async with open_stream(relay, "sse", None, f"?ticket={TICKET}"):
            pass
    assert refused.value.answer.status == 401
