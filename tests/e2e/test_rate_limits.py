"""Rate limits on a running Relay: what is counted by which key, and what a refusal contains."""

from typing import Any

import httpx
import pytest
import trio

from relay.app import create_app
from relay.config.settings import Settings
from relay.web.needs import Need
from relay.web.rate_limits import Limit
from tests.support.problems import check
from tests.support.relay_server import Relay, User, bearer, handshake, open_stream, running_relay

LEFT = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")


def limited(database_url: str, **rates: str) -> Any:
    return running_relay(database_url, RELAY_RATE_LIMITS="on", **rates)


async def statuses(count: int, call: Any) -> list[int]:
    """So many calls at once."""
    found: list[int] = []

    async def one() -> None:
        found.append((await call()).status_code)

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(one)
    return sorted(found)


def lines(count: int) -> bytes:
    return b'{"event_type":"log","ts":"2026-01-31T12:00:00Z","payload":1}\n' * count


async def batch(user: User, count: int, **headers: str) -> httpx.Response:
    kind = {"Content-Type": "application/x-ndjson", **bearer(await user.hook()), **headers}
    return await user.relay.http.post("/api/webhook/cli", content=lines(count), headers=kind)


def test_every_route_declares_its_limit_and_its_credential() -> None:
    app = create_app(Settings.load({}))
    for rule in app.url_map.iter_rules():
        view: Any = app.view_functions[rule.endpoint]
        if rule.endpoint.startswith("static"):
            continue
        assert isinstance(view.need, Need), rule
        declared = getattr(view, "limit", None)
        by_itself = isinstance(declared, str) and declared.startswith(("by the handler", "none: "))
        assert isinstance(declared, Limit) or by_itself, rule


async def test_thirty_at_once_at_limit_three_admit_three(database_url: str) -> None:
    async with limited(
        database_url, RELAY_RATE_SIGNUPS="3/h", RELAY_RATE_EVENTS_PER_TOKEN="3/h"
    ) as relay:
        assert await statuses(30, lambda: relay.http.post("/api/user")) == [201] * 3 + [429] * 27
    async with limited(database_url, RELAY_RATE_EVENTS_PER_TOKEN="3/h") as relay:
        user = await relay.user()
        await user.hook()
        assert await statuses(30, user.post) == [200] * 3 + [429] * 27


@pytest.mark.usefixtures("one_moment")
async def test_the_documented_defaults_hold(database_url: str) -> None:
    async with limited(database_url) as relay:
        user = await relay.user()
        others = await statuses(11, lambda: relay.http.post("/api/user", headers={}))
        assert others.count(429) == 2
        assert (await user.posted())["ok"]
        answer = await user.post()
        assert [answer.headers[name] for name in LEFT] == ["2000", "1998", "1"]
        assert [(await batch(user, 950)).status_code for _ in range(2)] == [200, 200]
        problem = check(await batch(user, 900), 429, "rate_limited")
        assert "50/s burst 2000 events of this token" in problem["detail"]


async def test_every_response_of_a_limited_route_has_the_remaining_quota(database_url: str) -> None:
    async with limited(database_url) as relay:
        user = await relay.user()
        hook = {**bearer(await user.hook()), "Content-Type": "application/json"}
        answers = [
            await user.call("POST", "/api/token"),
            await user.call("POST", "/api/rt/ticket"),
            await user.call("GET", "/api/me"),
            await user.call("GET", "/api/events"),
            await relay.http.get("/"),
            await user.post(),
            await relay.http.post(
                "/api/webhook/cli",
                content=b"{",
                headers={**hook, "Content-Type": "application/json"},
            ),
            await relay.http.get("/api/me"),
        ]
        for answer in answers:
            assert all(int(answer.headers[name]) >= 0 for name in LEFT), answer.url
        assert "RateLimit-Limit" not in (await relay.http.get("/healthz")).headers
        async with user.sse() as stream:
            assert stream.headers["ratelimit-limit"] == "120"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/webhook/cli"),
        ("POST", "/api/asks"),
        ("POST", "/api/tasks/beat"),
        ("GET", "/api/asks/x"),
    ],
)
async def test_events_asks_beats_and_looks_are_counted_once_their_credential_is_accepted(
    database_url: str, method: str, path: str
) -> None:
    async with limited(
        database_url, RELAY_RATE_EVENTS_PER_ADDRESS="1/h", RELAY_RATE_WAITS="1/h"
    ) as relay:
        for headers in [{}, bearer("abc")] * 3:
            answer = await relay.http.request(method, path, headers=headers, content=b"{}")
            check(answer, 401)
            assert "RateLimit-Limit" not in answer.headers


async def test_limits_count_by_user_or_without_a_token_by_address(database_url: str) -> None:
    async with limited(database_url, RELAY_RATE_TOKENS="2/h") as relay:
        user, other = await relay.user(), await relay.user()
        assert await statuses(5, lambda: user.call("POST", "/api/token")) == [201] * 2 + [429] * 3
        assert (await other.call("POST", "/api/token")).status_code == 201
        assert (await user.call("POST", "/api/rt/ticket")).status_code == 201  # another route
        refused = await statuses(4, lambda: relay.http.post("/api/token", headers=bearer("x.y.z")))
        assert refused == [401] * 2 + [429] * 2


async def test_a_refused_batch_stores_nothing(database_url: str) -> None:
    async with limited(database_url, RELAY_RATE_EVENTS_PER_TOKEN="1/h burst 10") as relay:
        user = await relay.user()
        assert (await batch(user, 8)).status_code == 200
        check(await batch(user, 3), 429, "rate_limited")
        problem = check(await batch(user, 11), 429, "rate_limited")
        assert "this request counts as 11: send fewer at a time" in problem["detail"]
        assert (await batch(user, 2)).json()["last_seq"] == 10


async def test_the_address_is_the_peers_unless_a_trusted_proxy_forwards_another(
    database_url: str,
) -> None:
    async def forwarded(relay: Relay, address: str) -> int:
        answer = await relay.http.post("/api/user", headers={"X-Forwarded-For": address})
        relay.http.cookies.clear()
        return answer.status_code

    async with limited(database_url, RELAY_RATE_SIGNUPS="1/h") as relay:
        assert [await forwarded(relay, f"192.0.2.{n}") for n in range(2)] == [201, 429]
    async with limited(database_url, RELAY_RATE_SIGNUPS="1/h", RELAY_TRUSTED_PROXIES="1") as relay:
        assert [await forwarded(relay, f"192.0.2.{n}") for n in range(2)] == [201, 201]
        assert await forwarded(relay, "198.51.100.9, 192.0.2.1") == 429  # the last one is the peer
        assert await forwarded(relay, "2001:db8::1") == 201
        assert await forwarded(relay, "2001:db8::2") == 429  # the same /64


@pytest.mark.parametrize("transport", ["websocket", "sse"])
async def test_handshakes_are_limited_on_both_transports(database_url: str, transport: str) -> None:
    async with limited(database_url, RELAY_RATE_HANDSHAKES="2/h") as relay:
        user = await relay.user()
        for _ in range(2):
            async with open_stream(relay, transport, user.session) as stream:
                await stream.hello()
        check(await relay.http.get("/api/sse", headers=bearer(user.session)), 429, "rate_limited")
        check(await handshake(relay, **bearer(user.session)), 429, "rate_limited")
        # a page cannot read a refused handshake: the refusal is sent in-band
        page = {"Origin": relay.url}
        async with open_stream(relay, "websocket", None, headers=page) as stream:
            message = await stream.next()
            assert (message["code"], message["reason"]) == (4429, "rate_limited")


async def test_refusals_are_counted_by_limit(database_url: str) -> None:
    async with limited(database_url, RELAY_RATE_EVENTS_PER_TOKEN="1/h") as relay:
        user = await relay.user()
        await user.hook()
        before = (await relay.http.get("/metrics")).text
        assert await statuses(4, user.post) == [200, 429, 429, 429]
        after = (await relay.http.get("/metrics")).text
        name = 'relay_rate_limited_total{limit="events_token"}'
        assert _value(after, name) - _value(before, name) == 3


def _value(text: str, name: str) -> float:
    found = [line for line in text.splitlines() if line.startswith(name)]
    return float(found[0].rpartition(" ")[2]) if found else 0.0
