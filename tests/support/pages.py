"""Relay's own page and listed pages: their Origins, cookies, tickets and refused handshakes."""

from typing import Any

from tests.support.relay_server import Relay, User, bearer, open_stream

LISTED = "https://app.example.com"
CORS = f"{LISTED}, https://*.example.app, http://127.0.0.1:1234"
EVENT = {"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": {}}


def cookie(session: str) -> dict[str, str]:
    return {"Cookie": f"relay_session={session}"}


async def closed(relay: Relay, query: str = "", **headers: str) -> tuple[dict[str, Any], int]:
    """The one message and the close code of a handshake that is accepted to be refused."""
    async with open_stream(relay, "websocket", None, query, headers=headers) as stream:
        message = await stream.next()
        assert message["type"] == "close"
        return message, await stream.close_code()


async def ticket(user: User, origin: str | None = None, **headers: str) -> str:
    given = {**bearer(user.session), **({"Origin": origin} if origin else {}), **headers}
    answer = await user.relay.http.post("/api/rt/ticket", headers=given)
    assert (answer.status_code, answer.json()["expires_in"]) == (201, 30), answer.text
    made: str = answer.json()["ticket"]
    return made
