"""The metrics are closed to other hosts, by any name and through any proxy."""

import pytest

from tests.support.ports import HeldPort
from tests.support.relay_server import Relay, bearer, raw_http, running_relay

TOKEN = "metrics-token-0123456789"
FORWARDING = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")


async def scrape(relay: Relay, *headers: str) -> int:
    """The status of a bare request with exactly these headers."""
    async with raw_http(relay) as connection:
        lines = ["GET /metrics HTTP/1.1", *headers]
        await connection.send("\r\n".join(lines).encode() + b"\r\n\r\n")
        return (await connection.answer("GET")).status_code


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *((host, 200) for host in ("127.0.0.1", "127.0.0.1:9", "localhost:8000", "[::1]:8000")),
        *((host, 403) for host in ("evil.example", "evil.example:8000", "localhost.evil.example")),
        *((host, 403) for host in ("192.0.2.1:8000", "[2001:db8::1]", "127.0.0.1.evil.example")),
        ("", 403),
        *((host, 400) for host in ("127.0.0.1@evil.example", "localhost:80@evil.example")),
    ],
)
async def test_a_rebound_host_name_is_refused(relay: Relay, host: str, status: int) -> None:
    """DNS rebinding: a stranger's name for 127.0.0.1 makes its page our origin."""
    assert await scrape(relay, f"Host: {host}") == status


async def test_without_a_token_no_proxy_and_no_page_reads_metrics(relay: Relay) -> None:
    host = relay.url.removeprefix("http://")
    assert await scrape(relay, f"Host: {host}") == 200
    for name in FORWARDING:
        assert await scrape(relay, f"Host: {host}", f"{name}: 127.0.0.1") == 403
    answer = await relay.http.get("/metrics", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_without_a_token_a_public_address_closes_them(database_url: str) -> None:
    held = HeldPort()
    bind = f"127.0.0.1:{held.number}"
    async with running_relay(
        database_url, BASE_URL="http://relay.example", RELAY_BIND=bind
    ) as relay:
        here = Relay(f"http://{bind}", relay.http)
        assert await scrape(here, f"Host: {bind}") == 403


async def test_with_a_token_only_that_token_is_accepted(database_url: str) -> None:
    async with running_relay(database_url, RELAY_METRICS_TOKEN=TOKEN) as relay:
        user = await relay.user()
        assert await scrape(relay, "Host: evil.example", f"Authorization: Bearer {TOKEN}") == 200
        for headers in ({}, bearer("x" * 24), bearer(user.session), {"Cookie": f"x={TOKEN}"}):
            answer = await relay.http.get(f"/metrics?token={TOKEN}", headers=headers)
            assert (headers, answer.status_code) == (headers, 401)
