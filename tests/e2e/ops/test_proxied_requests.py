"""Requests through nginx and Caddy: addresses, Origins, bodies, ids and metrics as without them."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import httpx
import trio

from tests.support.client.protocol import HANDSHAKE
from tests.support.patience import eventually
from tests.support.relay_server import Relay, User, bearer, open_stream, raw_http
from tests.support.reverse_proxies import Proxy, behind


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
