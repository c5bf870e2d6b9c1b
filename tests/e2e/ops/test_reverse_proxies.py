"""Relay behind real proxies, with the configurations that `ops/` hands out.

Everything here goes through nginx or Caddy as an operator would run it.
"""

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from relay.config.settings import Settings
from tests.support.client.protocol import HANDSHAKE, head
from tests.support.client.streams import Ended, Refused
from tests.support.patience import PATIENCE, eventually
from tests.support.relay_server import Relay, User, bearer, open_stream, raw_http, running_relay
from tests.support.reverse_proxies import OPS, Proxy, proxy

TRANSPORTS = pytest.mark.parametrize("transport", ["websocket", "sse"])
PROXIES = ("nginx", "caddy")


@pytest.fixture(params=PROXIES)
async def front(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Proxy]:
    async with proxy(request.param, tmp_path, {}) as found:
        yield found


@asynccontextmanager
async def behind(
    front: Proxy, database_url: str, *, stop: trio.Event | None = None, **settings: str
) -> AsyncIterator[Relay]:
    """Relay where the proxy looks for it, and how it is seen from the other side."""
    given = {**front.settings, **settings}
    async with running_relay(database_url, stop, **given), front.client() as http:
        yield front.relay(http)


@TRANSPORTS
async def test_events_arrive_at_once(front: Proxy, database_url: str, transport: str) -> None:
    async with behind(front, database_url) as relay:
        user = await relay.user()
        async with open_stream(relay, transport, user.session) as stream:
            await stream.hello()
            for n in range(3):  # each before the next is sent: nothing fills a buffer for it
                receipt = await user.posted(payload={"n": n})
                (event,) = await stream.events(1)
                assert (event["id"], event["payload"]) == (receipt["id"], {"n": n})


async def test_a_page_gets_batches_on_the_subprotocol(front: Proxy, database_url: str) -> None:
    async with behind(front, database_url) as relay:
        user = await relay.user()
        await user.publish(3)
        offered: dict[str, Any] = {"subprotocols": ["relay.v1"], "headers": {"Origin": front.url}}
        async with user.websocket("?after=oldest", **offered) as stream:
            await stream.hello()
            assert stream.subprotocol == "relay.v1"
            assert len(await stream.events(3)) == 3


def test_nginx_waits_for_several_heartbeats() -> None:
    waits = re.findall(r"proxy_read_timeout (\d+)s;", (OPS / "nginx" / "relay.conf").read_text())
    assert [int(seconds) >= 3 * Settings().heartbeat for seconds in waits] == [True, True]


async def test_heartbeats_pass_at_once(front: Proxy, database_url: str) -> None:
    offered: dict[str, Any] = {"subprotocols": ["relay.v1"], "headers": {"Origin": front.url}}
    async with behind(front, database_url, RELAY_HEARTBEAT="0.1s") as relay:
        user = await relay.user()
        async with user.websocket(**offered) as websocket, user.sse() as sse:
            await websocket.hello()
            await sse.hello()
            for _ in range(10):  # though there is no event to push them out of a buffer
                await websocket.control("ping")
                while not (await sse.block())[0].startswith(":"):
                    pass
            await user.posted()
            assert len(await websocket.events(1)) == len(await sse.events(1)) == 1


async def test_caddy_does_not_close_silent_streams_as_idle(
    tmp_path: Path, database_url: str
) -> None:
    async with (
        proxy("caddy", tmp_path, {"idle 5m": "idle 1s"}) as front,
        behind(front, database_url) as relay,
    ):
        user = await relay.user()
        hook = await user.hook()
        async with user.websocket() as websocket, user.sse() as sse:
            await websocket.hello()
            await sse.hello()
            async with raw_http(relay) as idle:
                await idle.send(head("/metrics", method="GET"))
                assert (await idle.answer("GET")).status_code
                with trio.fail_after(PATIENCE):
                    assert await idle.receive() == b""  # it was idle for too long
            async with front.client() as http:  # on a connection that was not
                answer = await User(front.relay(http), user.user_id, user.session).post(hook=hook)
            assert answer.status_code == 200
            assert len(await websocket.events(1)) == len(await sse.events(1)) == 1


async def read_on(stream: Any) -> None:
    while True:
        await stream.next()


async def test_without_heartbeats_nginx_would_cut_them(tmp_path: Path, database_url: str) -> None:
    async with (
        proxy("nginx", tmp_path, {"proxy_read_timeout 75s": "proxy_read_timeout 1s"}) as front,
        behind(front, database_url, RELAY_HEARTBEAT="25s") as relay,
        AsyncExitStack() as streams,
    ):
        user = await relay.user()

        async def opened(transport: Callable[[], Any]) -> Any:
            while True:
                # refused: Relay was slow, and nginx cut the request itself
                with suppress(Refused):
                    return await streams.enter_async_context(transport())

        websocket, sse = await opened(user.websocket), await opened(user.sse)
        assert await websocket.close_code() == 1006
        with pytest.raises(Ended) as cut:
            await read_on(sse)
        assert cut.value.is_cut


@asynccontextmanager
async def watching(
    front: Proxy, address: str, user: User, **headers: str
) -> AsyncIterator[httpx.Response]:
    """An SSE request from one of loopback's addresses."""
    async with front.client(address) as http:
        asked = http.stream("GET", "/api/sse", headers={**bearer(user.session), **headers})
        async with asked as answer:
            yield answer


async def test_a_forged_forwarding_header_is_ignored(front: Proxy, database_url: str) -> None:
    async with (
        behind(front, database_url, RELAY_MAX_CONNECTIONS_PER_ADDRESS="2") as relay,
        AsyncExitStack() as streams,
    ):
        user = await relay.user()

        async def status(address: str, liar: int) -> int:
            forwarded = {
                "X-Forwarded-For": f"198.51.100.{liar}",
                "X-Real-IP": f"198.51.100.{liar}",
                "Forwarded": f"for=198.51.100.{liar}",
            }
            answer = await streams.enter_async_context(watching(front, address, user, **forwarded))
            return answer.status_code

        assert [await status("127.0.0.2", liar) for liar in range(3)] == [200, 200, 429]
        # another client has another address, although the same proxy brings it
        assert await status("127.0.0.3", 0) == 200


async def test_origins_are_checked_as_without_a_proxy(front: Proxy, database_url: str) -> None:
    async with behind(front, database_url) as relay:
        user = await relay.user()
        foreign = {**bearer(user.session), "Origin": "https://evil.example"}
        assert (await relay.http.get("/api/sse", headers=foreign)).status_code == 403
        refused = await relay.http.get("/api/rt", headers={**HANDSHAKE, **foreign})
        assert (refused.status_code, refused.json()["code"]) == (403, "foreign_origin")
        async with user.websocket(headers={"Origin": front.url}) as stream:
            await stream.hello()


async def test_metrics_are_closed_through_the_proxy(front: Proxy, database_url: str) -> None:
    async with behind(front, database_url, RELAY_METRICS_TOKEN="m" * 32) as relay:
        for path in ("/metrics", "/metrics/", "//metrics", "/%6detrics", "/./metrics"):
            answer = await relay.http.get(relay.url + path, headers=bearer("m" * 32))
            assert answer.status_code == 404, path
            assert "relay_" not in answer.text


async def sent_anyway(relay: Relay, hook: str, size: int) -> httpx.Response:
    """The answer to a body that is too large, read while the body is still on its way."""
    lines = {**bearer(hook), "Content-Type": "application/json", "Content-Length": str(size)}
    host = relay.url.removeprefix("http://")
    start = f"POST /api/webhook/cli HTTP/1.1\r\nHost: {host}\r\n"
    start += "".join(f"{name}: {value}\r\n" for name, value in lines.items())

    async def send() -> None:
        with suppress(trio.BrokenResourceError):  # after the answer the server need not listen
            await connection.send(start.encode() + b"\r\n" + b" " * size)

    async with raw_http(relay) as connection, trio.open_nursery() as nursery:
        nursery.start_soon(send)
        answer = await connection.answer()
        nursery.cancel_scope.cancel()
        return answer


async def test_a_body_that_is_too_large_gets_relays_own_413(
    front: Proxy, database_url: str
) -> None:
    async with behind(front, database_url) as relay:
        hook = await (await relay.user()).hook()
        for size in (200_000, 1_500_000, 3_000_000, 5_000_000):
            answer = await sent_anyway(relay, hook, size)
            assert answer.status_code == 413
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.json()["code"] == "payload_too_large"


async def test_the_largest_batch_passes(front: Proxy, database_url: str) -> None:
    event = {"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": {"x": "x" * 60_000}}
    lines = [json.dumps(event)] * 17
    lines[-1] += " " * (2**20 - len("\n".join(lines)))
    async with behind(front, database_url) as relay:
        user = await relay.user()
        headers = {**bearer(await user.hook()), "Content-Type": "application/x-ndjson"}
        answer = await relay.http.post(
            "/api/webhook/cli", content="\n".join(lines), headers=headers
        )
        assert (answer.status_code, answer.json()["accepted"]) == (200, 17)


async def test_a_request_keeps_its_id_and_logs_no_ticket(front: Proxy, database_url: str) -> None:
    async with behind(front, database_url) as relay:
        user = await relay.user()
        answer = await relay.http.get(
            "/api/me", headers={**bearer(user.session), "X-Request-ID": "mine-1"}
        )
        assert answer.headers["X-Request-ID"] == "mine-1"
        ticket = (await user.call("POST", "/api/rt/ticket")).json()["ticket"]
        async with open_stream(relay, "sse", None, f"?ticket={ticket}") as stream:
            await stream.hello()
        spent = await relay.http.get(f"/api/sse?ticket={ticket}")
        assert spent.status_code == 401
        await eventually(lambda: spent.headers["X-Request-ID"] in front.access_log)
        assert "/api/sse" in front.access_log
        assert "mine-1" in front.access_log
        assert ticket not in front.access_log
        assert user.session not in front.access_log


async def test_a_restart_is_announced_in_band_and_the_cursor_resumes(
    front: Proxy, database_url: str
) -> None:
    stop = trio.Event()
    async with AsyncExitStack() as first:
        relay = await first.enter_async_context(behind(front, database_url, stop=stop))
        user = await relay.user()
        websocket = await first.enter_async_context(user.websocket())
        sse = await first.enter_async_context(user.sse())
        await websocket.hello()
        await sse.hello()
        await user.posted(payload={"n": 0})
        (seen,) = await websocket.events(1)
        await user.posted(payload={"n": 1})  # this one is not looked at before the restart
        stop.set()
        for stream in (websocket, sse):
            close = await stream.control("close")
            assert (close["code"], close["reason"]) == (1012, "restart")
        assert await websocket.close_code() == 1012

    async with front.client() as http:
        away = await http.get("/healthz")
        assert (away.status_code, away.json()["code"]) == (503, "unavailable")
        assert away.headers["Content-Type"] == "application/problem+json"
        assert away.headers["Retry-After"] == "2"
        assert away.headers["X-Request-ID"] == away.json()["request_id"]

    async with (
        behind(front, database_url),
        open_stream(relay, "websocket", user.session, f"?after={seen['cursor']}") as again,
    ):
        assert (await again.hello())["resumed"] is True
        (event,) = await again.events(1)
        assert event["payload"] == {"n": 1}


async def test_tls_and_http_2_terminate_at_the_proxy(front: Proxy, database_url: str) -> None:
    async with (
        behind(front, database_url) as relay,
        httpx.AsyncClient(
            base_url=front.tls_url, http2=True, verify=False, timeout=PATIENCE
        ) as http,
    ):
        user = await relay.user()
        asked = http.stream("GET", "/api/sse", headers=bearer(user.session))
        async with asked as answer:
            assert (answer.status_code, answer.http_version) == (200, "HTTP/2")
            lines = answer.aiter_lines()
            assert await anext(lines) == "retry: 2000"
            receipt = await user.posted(payload={"over": "h2"})
            with trio.fail_after(PATIENCE):
                await user.call("DELETE", "/api/session")  # which ends the stream
                assert any([receipt["id"] in line async for line in lines])
