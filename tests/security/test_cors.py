"""What cross-origin pages may read: every response if listed, none if not."""

from collections.abc import AsyncIterator

import httpx
import pytest

from relay.app import create_app
from relay.config.settings import Settings
from relay.db.pool import connect
from relay.web.middleware.cors import (
    ALLOWED_HEADERS,
    ALLOWED_METHODS,
    EXPOSED_HEADERS,
    PREFLIGHT_MAX_AGE_SECONDS,
)
from tests.support.all_answers import everything
from tests.support.client.protocol import head
from tests.support.origins import CORS, LISTED, SENDABLE
from tests.support.patience import PATIENCE
from tests.support.relay_server import Relay, bearer, open_stream, raw_http, running_relay


@pytest.fixture
async def relay(database_url: str) -> AsyncIterator[Relay]:
    async with running_relay(database_url, CORS=CORS) as server:
        yield server


def words(answer: httpx.Response, name: str) -> set[str]:
    """A header that is a list, in lower case."""
    value = answer.headers.get(name, "").lower()
    return {word.strip() for word in value.split(",") if word.strip()}


def assert_readable(answer: httpx.Response, origin: str) -> None:
    assert answer.headers.get_list("Access-Control-Allow-Origin") == [origin]
    assert "origin" in words(answer, "Vary")
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert words(answer, "Access-Control-Expose-Headers") == {
        name.lower() for name in EXPOSED_HEADERS
    }


def assert_closed(answer: httpx.Response) -> None:
    allowing = [name for name in answer.headers if name.lower().startswith("access-control-")]
    assert allowing == []


@pytest.mark.parametrize("origin", LISTED)
async def test_a_listed_page_reads_every_answer(relay: Relay, origin: str) -> None:
    for what, status, answer in await everything(relay, {"Origin": origin}):
        assert (what, answer.status_code) == (what, status)
        assert_readable(answer, origin)
        assert "Set-Cookie" not in answer.headers


async def test_a_page_that_is_not_listed_reads_none(relay: Relay) -> None:
    for what, status, answer in await everything(relay, {"Origin": "https://evil.example"}):
        assert answer.status_code in (status, 403), what
        assert_closed(answer)
        assert "origin" in words(answer, "Vary"), what
    for origin in SENDABLE:
        for path in ("/healthz", "/nowhere", "/api/me"):
            assert_closed(await relay.http.get(path, headers={"Origin": origin}))
        answer = await relay.http.options(
            "/api/me", headers={"Origin": origin, "Access-Control-Request-Method": "GET"}
        )
        assert_closed(answer)


async def test_without_an_origin_only_vary_is_sent(relay: Relay) -> None:
    for what, status, answer in await everything(relay, {}):
        assert (what, answer.status_code) == (what, status)
        assert_closed(answer)
        assert "origin" in words(answer, "Vary"), what


async def test_refusals_of_the_server_layer_are_readable_by_listed_pages(
    relay: Relay,
) -> None:
    for status, target, more in (
        (414, "/" + "x" * 9_000, ()),
        (431, "/", [f"X-{n}: y" for n in range(200)]),
        (400, "/api/rt", ["Connection: Upgrade", "Upgrade: websocket"]),
    ):
        for origin in (LISTED[1], "https://evil.example", "", None):
            given = [] if origin is None else [f"Origin: {origin}"]
            async with raw_http(relay) as connection:
                await connection.send(head(target, *given, *more, method="GET"))
                answer = await connection.answer("GET")
            assert answer.status_code == status
            if origin == LISTED[1]:
                assert_readable(answer, origin)
            else:
                assert_closed(answer)
                assert "origin" in words(answer, "Vary")
    async with raw_http(relay) as connection:  # which of two is meant is not to be guessed
        twice = [f"Origin: {LISTED[0]}", f"Origin: {LISTED[1]}"]
        await connection.send(head("/" + "x" * 9_000, *twice, method="GET"))
        assert_closed(await connection.answer("GET"))


async def test_with_an_empty_list_no_page_reads(database_url: str) -> None:
    async with running_relay(database_url) as relay:
        for origin in (*LISTED, relay.url, "null"):
            asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
            assert_closed(await relay.http.options("/api/me", headers=asked))
            assert_closed(await relay.http.get("/healthz", headers={"Origin": origin}))


@pytest.mark.parametrize("path", ["/api/me", "/api/events", "/api/sse", "/api/webhook/cli"])
async def test_a_preflight_grants_exactly_what_the_api_accepts(relay: Relay, path: str) -> None:
    (method,) = {"/api/webhook/cli": {"POST"}}.get(path, {"GET"})
    answer = await relay.http.options(
        path,
        headers={
            "Origin": LISTED[1],
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": ",".join(
                [*map(str.lower, ALLOWED_HEADERS), "cookie", "x-evil"]
            ),
        },
    )
    assert answer.status_code == 200
    assert_readable(answer, LISTED[1])
    assert words(answer, "Access-Control-Allow-Methods") == {
        name.lower() for name in ALLOWED_METHODS
    }
    assert words(answer, "Access-Control-Allow-Headers") == {
        name.lower() for name in ALLOWED_HEADERS
    }
    assert answer.headers["Access-Control-Max-Age"] == str(PREFLIGHT_MAX_AGE_SECONDS)
    assert answer.content == b""
    refused = await relay.http.options(
        path, headers={"Origin": LISTED[1], "Access-Control-Request-Method": "PUT"}
    )
    assert not words(refused, "Access-Control-Allow-Methods")


def test_a_listed_page_may_use_the_methods_of_all_routes() -> None:
    rules = create_app(Settings()).url_map.iter_rules()
    assert {method for rule in rules for method in rule.methods or ()} == {
        *ALLOWED_METHODS,
        "OPTIONS",
    }


async def test_a_preflight_needs_no_credential_and_does_nothing(relay: Relay) -> None:
    user = await relay.user()
    for path in ("/api/user", "/api/session", "/api/token", "/api/token/revoke"):
        answer = await relay.http.options(
            path,
            headers={
                **bearer(user.session),
                "Origin": LISTED[0],
                "Access-Control-Request-Method": "POST",
            },
        )
        assert (path, answer.status_code) == (path, 200)
        assert "Set-Cookie" not in answer.headers
    assert (await user.call("GET", "/api/me")).json()["tokens"] == []


async def test_a_stream_is_readable_from_its_first_byte(relay: Relay) -> None:
    user = await relay.user()
    async with open_stream(relay, "sse", user.session, headers={"Origin": LISTED[0]}) as stream:
        assert stream.headers["access-control-allow-origin"] == LISTED[0]
        assert "Origin" in stream.headers["vary"]
        await stream.hello()


async def test_an_internal_error_is_readable_by_listed_pages(
    relay: Relay, database_url: str
) -> None:
    """A 500 comes from the same place as all the others."""
    user = await relay.user()
    async with connect(database_url, timeout=PATIENCE) as database:
        await database.execute("ALTER TABLE users RENAME COLUMN created_at TO elsewhere")
    answer = await relay.http.get("/api/me", headers={**bearer(user.session), "Origin": LISTED[0]})
    assert answer.status_code == 500
    assert_readable(answer, LISTED[0])
