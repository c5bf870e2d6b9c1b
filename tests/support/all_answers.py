"""One request for each kind of response that Relay gives."""

from typing import Any

from tests.support.relay_server import Relay, bearer

EVENT = {"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": {}}


async def everything(relay: Relay, headers: dict[str, str]) -> list[tuple[str, int, Any]]:
    """Each kind of answer there is, and the status it must have."""
    user = await relay.user()
    mine, hook = bearer(user.session), bearer(await user.hook())
    calls: list[tuple[int, str, str, dict[str, str], Any]] = [
        (200, "GET", "/healthz", {}, None),
        (200, "GET", "/", {}, None),
        (200, "GET", "/console/relay-stream.js", {}, None),
        (200, "GET", "/openapi.json", {}, None),
        (200, "GET", "/docs", {}, None),
        (200, "GET", "/api/me", mine, None),
        (200, "GET", "/api/events", mine, None),
        (200, "HEAD", "/api/sse", mine, None),
        (201, "POST", "/api/rt/ticket", mine, {}),
        (200, "POST", "/api/webhook/cli", hook, EVENT),
        (400, "GET", "/api/events?after=nonsense", mine, None),
        (401, "GET", "/api/me", {}, None),
        (401, "GET", "/api/sse", bearer("broken"), None),
        (403, "POST", "/api/webhook/cli", mine, EVENT),
        (404, "GET", "/nowhere", {}, None),
        (405, "PUT", "/api/me", {}, None),
        (413, "POST", "/api/webhook/cli", hook, "x" * 200_000),
        (415, "POST", "/api/webhook/cli", hook, None),
        (422, "POST", "/api/webhook/cli", hook, {}),
        (204, "DELETE", "/api/session", mine, None),
    ]
    found = []
    for status, method, path, credential, body in calls:
        given = {} if body is None else {"json": body}
        answer = await relay.http.request(method, path, headers={**headers, **credential}, **given)
        found.append((f"{method} {path}", status, answer))
    return found
