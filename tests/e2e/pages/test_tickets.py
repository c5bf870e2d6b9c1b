"""A ticket opens one stream of its user, for 30 seconds, on the page that it was made for."""

from datetime import timedelta

import pytest
import trio
from trio.testing import MockClock

from relay.db.pool import connect
from tests.support.clock import pass_by
from tests.support.pages import LISTED, closed, ticket
from tests.support.patience import PATIENCE
from tests.support.relay_server import Relay, bearer, handshake, open_stream


@pytest.mark.parametrize("transport", ["websocket", "sse"])
async def test_a_ticket_opens_its_users_stream_once(relay: Relay, transport: str) -> None:
    user = await relay.user()
    single = await ticket(user)
    statuses: list[int] = []

    async def spend() -> None:
        query = f"?ticket={single}"
        if transport == "websocket":
            status = (await handshake(relay, query)).status_code
        else:
            async with relay.http.stream("GET", f"/api/sse{query}") as answer:
                status = answer.status_code
        statuses.append(status)

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(spend)
    assert sorted(statuses) == sorted([101 if transport == "websocket" else 200] + [401] * 19)
    async with open_stream(relay, transport, None, f"?ticket={await ticket(user)}") as stream:
        await stream.hello()
        await user.posted(payload="mine")
        assert [event["payload"] for event in await stream.events(1)] == ["mine"]


async def test_a_ticket_lasts_30_seconds(relay: Relay, database_url: str) -> None:
    user = await relay.user()
    async with connect(database_url, timeout=PATIENCE) as database:
        ((before,),) = await database.fetch("SELECT now()")
        late = await ticket(user)
        ((expires_at, after),) = await database.fetch("SELECT expires_at, now() FROM tickets")
        assert before <= expires_at - timedelta(seconds=30) <= after
        await database.execute("UPDATE tickets SET expires_at = now()")
        fresh = await ticket(user)
        assert (await handshake(relay, f"?ticket={late}")).status_code == 401
        assert (await handshake(relay, f"?ticket={fresh}")).status_code == 101


async def test_a_ticket_is_kept_as_a_hash_only(relay: Relay, database_url: str) -> None:
    made = await ticket(await relay.user())
    async with connect(database_url, timeout=PATIENCE) as database:
        (row,) = await database.fetch("SELECT to_jsonb(tickets)::text AS text FROM tickets")
    assert made not in row["text"]
    assert made.encode().hex() not in row["text"]


async def test_a_ticket_of_a_page_is_valid_on_that_page_only(relay: Relay) -> None:
    user = await relay.user()
    bound = await ticket(user, LISTED)
    _, code = await closed(relay, f"?ticket={bound}", Origin="https://a.example.app")
    assert code == 4401
    bound = await ticket(user, LISTED)
    assert (await handshake(relay, f"?ticket={bound}")).status_code == 401
    bound = await ticket(user, LISTED)
    async with open_stream(
        relay, "websocket", None, f"?ticket={bound}", headers={"Origin": LISTED}
    ) as stream:
        await stream.hello()


async def test_the_own_page_may_open_server_sent_events_with_its_ticket(relay: Relay) -> None:
    """A page's EventSource of its own origin sends no Origin, only Sec-Fetch-Site."""
    user = await relay.user()
    headers = {**bearer(user.session), "Origin": relay.url}
    made = (await relay.http.post("/api/rt/ticket", headers=headers)).json()["ticket"]
    same = {"Sec-Fetch-Site": "same-origin"}
    async with open_stream(relay, "sse", None, f"?ticket={made}", headers=same) as stream:
        await stream.hello()


async def test_a_ticket_is_revoked_with_the_credential_that_minted_it(relay: Relay) -> None:
    user = await relay.user()
    for ending in ("revoked by the session", "revoked by itself"):
        made = await user.token()
        answer = await relay.http.post("/api/rt/ticket", headers=bearer(made["token"]))
        unspent = answer.json()["ticket"]
        answer = await relay.http.post("/api/rt/ticket", headers=bearer(made["token"]))
        async with open_stream(relay, "sse", None, f"?ticket={answer.json()['ticket']}") as stream:
            await stream.hello()
            by = user.session if "session" in ending else made["token"]
            answer = await relay.http.post(
                "/api/token/revoke", json={"token_id": made["token_id"]}, headers=bearer(by)
            )
            assert answer.status_code == 200
            assert (await stream.control("close"))["code"] == 4401
        assert (ending, (await handshake(relay, f"?ticket={unspent}")).status_code) == (ending, 401)


async def test_a_ticket_inherits_scopes_and_expiry(relay: Relay, clock: MockClock) -> None:
    user = await relay.user()
    watcher = (await user.token(scopes=["watch"], expires_in=3600))["token"]
    answer = await relay.http.post("/api/rt/ticket", headers=bearer(watcher))
    async with open_stream(
        relay, "websocket", None, f"?ticket={answer.json()['ticket']}"
    ) as stream:
        assert (await stream.hello())["token_ttl_s"] <= 3600
        await pass_by(clock, 3600)
        assert (await stream.control("close"))["code"] == 4401
    publisher = (await user.token(scopes=["publish"]))["token"]
    answer = await relay.http.post("/api/rt/ticket", headers=bearer(publisher))
    assert answer.status_code == 403  # there is nothing that it could watch


async def test_a_ticket_is_for_streams_only(relay: Relay) -> None:
    user = await relay.user()
    made = await ticket(user)
    for method, path in (("GET", "/api/events"), ("GET", "/api/me"), ("POST", "/api/rt/ticket")):
        answer = await relay.http.request(method, f"{path}?ticket={made}")
        assert (path, answer.status_code) == (path, 401)
        answer = await relay.http.request(method, path, headers=bearer(made))
        assert (path, answer.status_code) == (path, 401)
    assert (await handshake(relay, f"?ticket={made}")).status_code == 101
