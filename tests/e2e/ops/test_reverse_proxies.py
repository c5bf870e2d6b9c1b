"""Live streams pass nginx and Caddy, as `ops/` configures them: at once, whole and kept alive."""

import re
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from relay.config.settings import Settings
from tests.support.client.protocol import head
from tests.support.client.streams import Ended, Refused
from tests.support.patience import PATIENCE
from tests.support.relay_server import User, bearer, open_stream, raw_http
from tests.support.reverse_proxies import OPS, Proxy, behind, proxy

TRANSPORTS = pytest.mark.parametrize("transport", ["websocket", "sse"])


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
