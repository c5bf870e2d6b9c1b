"""What passes by itself is a short SSE stream for an EventSource, and a status for all others."""

import json
import re
from typing import Any

import httpx
import pytest

from relay.realtime.hub import Hub
from tests.support.problems import check
from tests.support.relay_server import Relay, User, bearer, running_relay

NAMING = [
    "text/event-stream",
    "TEXT/Event-Stream",
    "text/event-stream;charset=utf-8",
    "application/json, text/event-stream;q=0.1",
    "*/*, text/event-stream",
]
OTHERS = [None, "*/*", "text/*", "application/json", "text/event-stream;q=0", "x/text/event-stream"]


async def ask(user: User, accept: str | None, **how: Any) -> httpx.Response:
    headers = {**bearer(how.pop("token", user.session)), "Accept": accept or ""}
    request = user.relay.http.build_request(how.pop("method", "GET"), "/api/sse", headers=headers)
    if accept is None:
        del request.headers["Accept"]
    return await user.relay.http.send(request)


def goodbye(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The `close` message of a refusal that is a stream."""
    assert answer.status_code == 200, status
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    retry, event, data, *rest = answer.text.split("\n")
    assert (event, rest) == ("event: close", ["", ""])
    message: dict[str, Any] = json.loads(data.removeprefix("data: "))
    assert retry == f"retry: {message['retry_after_ms']}"
    return message


async def counted(relay: Relay, status: int) -> float:
    text = (await relay.http.get("/metrics")).text
    series = re.escape(
        f'relay_http_requests_total{{method="GET",route="/api/sse",status="{status}"}}'
    )
    found = re.search(rf"^{series} (\S+)$", text, re.MULTILINE)
    return 0.0 if found is None else float(found[1])


@pytest.mark.parametrize("accept", [*NAMING, *OTHERS])
async def test_a_full_user_gets_a_stream_or_a_status_by_accept(
    database_url: str, accept: str | None
) -> None:
    async with running_relay(database_url, RELAY_MAX_CONNECTIONS_PER_USER="1") as relay:
        user = await relay.user()
        async with user.sse() as stream:
            await stream.hello()
            refused = await counted(relay, 429)
            answer = await ask(user, accept)
            if accept in NAMING:
                message = goodbye(answer, 429)
                assert (message["code"], message["reason"]) == (4429, "too_many_connections")
                assert 10_000 <= message["retry_after_ms"] <= 15_000
            else:
                check(answer, 429)
            assert await counted(relay, 429) == refused + 1
            assert (await ask(user, accept, method="HEAD")).status_code == 429


async def test_a_full_process_and_a_rate_limit_come_back_by_themselves(database_url: str) -> None:
    async with running_relay(database_url, RELAY_MAX_CONNECTIONS="1") as relay:
        user, other = await relay.user(), await relay.user()
        async with user.websocket():
            before = await counted(relay, 503)
            assert goodbye(await ask(other, NAMING[0]), 503)["reason"] == "process_full"
            assert await counted(relay, 503) == before + 1
    async with running_relay(
        database_url, RELAY_RATE_LIMITS="on", RELAY_RATE_HANDSHAKES="1/h"
    ) as relay:
        user = await relay.user()
        async with user.sse() as stream:
            await stream.hello()
        answer = await ask(user, NAMING[0])
        message = goodbye(answer, 429)
        assert (message["code"], message["reason"]) == (4429, "rate_limited")
        assert message["retry_after_ms"] >= 10_000
        assert answer.headers["RateLimit-Remaining"] == "0"


async def test_what_does_not_pass_stays_a_status(relay: Relay) -> None:
    user = await relay.user()
    publish_only = (await user.token(scopes=["publish"]))["token"]
    for token, status in (("x", 401), (publish_only, 403)):
        check(await ask(user, NAMING[0], token=token), status)
    mine = {**bearer(user.session), "Accept": NAMING[0]}
    for query in ("after=x", "last=0", "after="):
        check(await relay.http.get(f"/api/sse?{query}", headers=mine), 400)
    spent = await relay.http.get("/api/sse?ticket=spent", headers={"Accept": NAMING[0]})
    check(spent, 401)
    foreign = {**mine, "Origin": "https://evil.example"}
    check(await relay.http.get("/api/sse", headers=foreign), 403)


async def test_a_process_that_drains_and_still_accepts_sends_readers_away_for_a_moment(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    hubs: list[Hub] = []
    admit = Hub.admit

    def seen(hub: Hub, *args: Any, **kwargs: Any) -> Any:
        hubs.append(hub)
        return admit(hub, *args, **kwargs)

    monkeypatch.setattr(Hub, "admit", seen)
    user = await relay.user()
    async with user.sse() as stream:
        await stream.hello()
    hubs[0].drain()
    before = await counted(relay, 503)
    message = goodbye(await ask(user, NAMING[0]), 503)
    assert (message["code"], message["reason"]) == (1012, "draining")
    assert 1_000 <= message["retry_after_ms"] <= 1_500
    check(await ask(user, "*/*"), 503)
    assert await counted(relay, 503) == before + 2
