"""A path has one spelling; an unknown one is a page for browsers and a problem for others."""

import pytest

from tests.support.client.protocol import HANDSHAKE, head
from tests.support.problems import check
from tests.support.relay_server import Relay, raw_http

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


async def test_a_handshake_at_an_unknown_path_gets_the_problem_document(relay: Relay) -> None:
    asked = {**HANDSHAKE, "Accept": "text/html"}
    async with raw_http(relay) as connection:
        fields = [f"{name}: {value}" for name, value in asked.items()]
        await connection.send(head("/nowhere", *fields, method="GET"))
        answer = await connection.answer("GET", **asked)
    check(answer, 404, "not_found")


@pytest.mark.parametrize("path", ["/nowhere", "/api/nowhere/else", "/docs/"])
async def test_a_browser_at_an_unknown_path_gets_a_404_page(relay: Relay, path: str) -> None:
    answer = await relay.http.get(path, headers={"Accept": BROWSER})
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Accept" in answer.headers["Vary"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert 'href="/docs"' in answer.text
    assert (await relay.http.head(path, headers={"Accept": BROWSER})).status_code == 404


@pytest.mark.parametrize(
    ("method", "accept"),
    [
        ("GET", None),
        ("GET", "*/*"),
        ("GET", "application/json"),
        ("GET", "application/json, text/html"),
        ("GET", "application/problem+json, text/html;q=0.9"),
        ("GET", "text/html;q=nonsense"),
        ("POST", BROWSER),
        ("OPTIONS", BROWSER),
    ],
)
async def test_other_clients_at_an_unknown_path_get_the_problem(
    relay: Relay, method: str, accept: str | None
) -> None:
    relay.http.headers.pop("Accept", None)
    headers = {} if accept is None else {"Accept": accept}
    answer = await relay.http.request(method, "/nowhere", headers=headers)
    check(answer, 404, "not_found")
    assert "Accept" in answer.headers["Vary"]


OTHER_SPELLINGS = (
    *("//api/me", "/api//me", "///api/me", "/%2Fapi/me", "/api%2fme", "//relay/api/me"),
    *("/%61pi/me", "/api/m%65", "/api/me%00", "/api/me%20", "/%6detrics", "/console/favicon%2esvg"),
)


@pytest.mark.parametrize("path", [*OTHER_SPELLINGS, "//evil.example/%2e%2e", "/x/../api/me"])
async def test_a_path_has_one_spelling(relay: Relay, path: str) -> None:
    """A rule for a path in front of Relay must not be passed by another spelling of it."""
    user = await relay.user()
    for target in (path, f"http://relay{path}"):
        async with raw_http(relay) as connection:
            mine = f"Authorization: Bearer {user.session}"
            await connection.send(head(target, mine, method="GET"))
            check(await connection.answer("GET"), 404)


async def test_a_stream_path_has_one_spelling(relay: Relay) -> None:
    user = await relay.user()
    mine = f"Authorization: Bearer {user.session}"
    asked = [f"{name}: {value}" for name, value in HANDSHAKE.items()]
    targets = (("//api/sse", ()), ("/api/ss%65", ()), ("//api/rt", asked), ("/api/%72t", asked))
    for target, given in targets:
        async with raw_http(relay) as connection:
            await connection.send(head(target, mine, *given, method="GET"))
            check(await connection.answer("GET"), 404)
    assert (await user.call("GET", "/api/me")).json()["connections"] == 0
