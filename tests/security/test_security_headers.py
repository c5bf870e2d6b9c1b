"""The security headers of every response, whichever layer writes it."""

import httpx

from relay.web.middleware.security_headers import (
    DATA_HEADERS,
    HSTS_HEADERS,
    PAGE_HEADERS,
    SERVICE_WORKER_PATH,
    WORKER_HEADERS,
    Headers,
)
from tests.support.all_answers import everything
from tests.support.client.protocol import head
from tests.support.relay_server import Relay, bearer, behind_https, handshake, open_stream, raw_http

NAMES = {name for name, _ in (*PAGE_HEADERS, *DATA_HEADERS, *HSTS_HEADERS)}


def assert_sealed(answer: httpx.Response, expected: Headers) -> None:
    """Exactly these of all such headers, and each once."""
    found = [(name.lower(), value) for name, value in answer.headers.raw if name.lower() in NAMES]
    assert sorted(found) == sorted(expected)


async def test_every_response_has_the_security_headers(relay: Relay) -> None:
    for what, status, answer in await everything(relay, {}):
        assert (what, answer.status_code) == (what, status)
        is_page = answer.headers.get("Content-Type", "").startswith("text/html")
        assert_sealed(answer, PAGE_HEADERS if is_page else DATA_HEADERS)


async def test_the_page_loads_from_its_origin_only_and_cannot_be_framed(relay: Relay) -> None:
    page = await relay.http.get("/")
    assert_sealed(page, PAGE_HEADERS)
    policy = dict(
        directive.strip().split(" ", 1)
        for directive in page.headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in str(policy)
    assert "http" not in str(policy)
    assert "*" not in str(policy)
    again = await relay.http.get("/", headers={"If-None-Match": page.headers["ETag"]})
    assert again.status_code == 304
    assert_sealed(again, PAGE_HEADERS)  # a browser takes the headers of a 304 for its copy


async def test_streams_and_refused_handshakes_have_the_security_headers(relay: Relay) -> None:
    user = await relay.user()
    async with open_stream(relay, "sse", user.session) as stream:
        assert_sealed(httpx.Response(200, headers=stream.headers), DATA_HEADERS)
    assert_sealed(await handshake(relay), DATA_HEADERS)
    assert_sealed(await handshake(relay, Origin="https://evil.example"), DATA_HEADERS)
    assert_sealed(await relay.http.get("/metrics", headers=bearer("x" * 20)), DATA_HEADERS)


async def test_refusals_of_the_server_layer_have_the_security_headers(relay: Relay) -> None:
    for status, request in (
        (400, b"GET nonsense HTTP/1.1\r\nHost: relay\r\n\r\n"),
        (400, b"\x00\x01\r\n\r\n"),
        (414, head("/" + "x" * 9_000, method="GET")),
        (431, head("/", f"X: {'x' * 17_000}", method="GET")),
    ):
        async with raw_http(relay) as connection:
            await connection.send(request)
            answer = await connection.answer("GET")
            assert answer.status_code == status
            assert_sealed(answer, DATA_HEADERS)


async def test_on_https_hsts_is_sent(database_url: str) -> None:
    async with behind_https(database_url, "https://relay.example") as relay:
        assert_sealed(await relay.http.get("/"), PAGE_HEADERS + HSTS_HEADERS)
        assert_sealed(await relay.http.get("/api/me"), DATA_HEADERS + HSTS_HEADERS)
        assert_sealed(await handshake(relay), DATA_HEADERS + HSTS_HEADERS)
        async with raw_http(relay) as connection:
            await connection.send(head("/" + "x" * 9_000, method="GET"))
            assert_sealed(await connection.answer("GET"), DATA_HEADERS + HSTS_HEADERS)


async def test_the_service_worker_may_call_the_api_and_show_icons(relay: Relay) -> None:
    worker = await relay.http.get(SERVICE_WORKER_PATH)
    assert worker.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert_sealed(worker, WORKER_HEADERS)
    again = await relay.http.get(
        SERVICE_WORKER_PATH, headers={"If-None-Match": worker.headers["ETag"]}
    )
    assert again.status_code == 304
    assert_sealed(again, WORKER_HEADERS)
