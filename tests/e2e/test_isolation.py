"""No credential of one user touches anything of another."""

from typing import Any

import httpx
import pytest

from tests.support.relay_server import Relay, User, bearer, open_stream
from tests.support.token_uses import revoke


async def _everything_of(user: User) -> dict[str, Any]:
    """What a user can see of itself, but for the time of last use."""
    me = (await user.call("GET", "/api/me")).json()
    for token in me["tokens"]:
        token.pop("last_used_at")
    return {"me": me, "events": (await user.call("GET", "/api/events")).json()}


@pytest.mark.parametrize("credential", ["session", "hook"])
async def test_no_credential_of_one_user_touches_anything_of_another(
    relay: Relay, credential: str
) -> None:
    one, other = await relay.user(), await relay.user()
    token = one.session if credential == "session" else await one.hook()
    theirs = await other.token(name="theirs")
    (receipt,) = await other.publish(1)
    await other.publish(2)
    their_ticket = (await other.call("POST", "/api/rt/ticket")).json()["ticket"]
    async with open_stream(relay, "websocket", other.session) as their_stream:
        await their_stream.hello()
        before = await _everything_of(other)

        async def call(method: str, path: str, **kwargs: Any) -> httpx.Response:
            return await relay.http.request(method, path, headers=bearer(token), **kwargs)

        for query in ("", "?last=10", f"?after={receipt['cursor']}", "?after=oldest"):
            page = (await call("GET", f"/api/events{query}")).json()
            assert (query, page["events"]) == (query, [])
        page = (await call("GET", f"/api/events?lastEventId={receipt['cursor']}")).json()
        assert (page["resumed"], page["reason"]) == (False, "epoch")
        for extra in (f"user_id={other.user_id}", f"sub={other.user_id}"):
            assert (await call("GET", f"/api/events?{extra}")).json()["events"] == []
        for body in ({"token_id": theirs["token_id"]}, {"token": theirs["token"]}):
            assert await revoke(relay, token, body) in (403, 404)
        if credential == "session":
            mine = (await call("GET", "/api/me")).json()
            assert (mine["user_id"], mine["connections"], mine["tokens"]) == (one.user_id, 0, [])
        for transport in ("websocket", "sse"):
            # the bearer decides, whatever ticket or cursor stands in the address
            query = f"?ticket={their_ticket}&after={receipt['cursor']}"
            async with open_stream(relay, transport, token, query) as stream:
                hello = await stream.hello()
                assert (hello["resumed"], hello["reason"]) == (False, "epoch")
                mine = await one.posted(event_id=receipt["id"])
                assert mine["watchers"] == 1
                assert (await stream.events(1))[0]["cursor"] == (
                    mine["cursor"] if transport == "websocket" else _first(mine["cursor"])
                )
        if credential == "session":
            assert (await call("DELETE", "/api/session")).status_code == 204
        else:
            assert await revoke(relay, token, None) == 200
        assert await _everything_of(other) == before
        await other.posted(payload="last")
        assert [event["payload"] for event in await their_stream.events(1)] == ["last"]


def _first(cursor: str) -> str:
    return cursor.partition(".")[0] + ".1"
