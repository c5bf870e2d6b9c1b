"""What a token can do: publish, watch, revoke."""

from typing import Any

from tests.support.relay_server import Relay, bearer, handshake

DAY = 86_400
EVENT = {"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": {}}


async def post(relay: Relay, token: str) -> int:
    answer = await relay.http.post("/api/webhook/cli", json=EVENT, headers=bearer(token))
    return answer.status_code


async def watch(relay: Relay, token: str) -> list[int]:
    """The status of every way to read; 200 and 101 are let go of at once."""
    page = await relay.http.get("/api/events", headers=bearer(token))
    sse = await relay.http.head("/api/sse", headers=bearer(token))
    return [
        page.status_code,
        sse.status_code,
        (await handshake(relay, **bearer(token))).status_code,
    ]


async def revoke(relay: Relay, credential: str, body: dict[str, Any] | None) -> int:
    """The status of a revoke; None sends no body at all."""
    content: dict[str, Any] = {} if body is None else {"json": body}
    answer = await relay.http.post("/api/token/revoke", headers=bearer(credential), **content)
    if answer.status_code == 200:
        assert answer.json() == {"ok": True}
    return answer.status_code
