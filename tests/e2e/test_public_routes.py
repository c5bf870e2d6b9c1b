"""What needs no credential: health, readiness, the API documents and the page."""

import json

import pytest

from tests.support.relay_server import Relay


async def test_health_and_readiness_need_no_credential(relay: Relay) -> None:
    for path in ("/healthz", "/readyz"):
        for method in ("GET", "HEAD"):
            answer = await relay.http.request(method, path)
            assert (path, method, answer.status_code) == (path, method, 200)


async def test_the_openapi_and_asyncapi_documents_are_served(relay: Relay) -> None:
    answer = await relay.http.get("/openapi.json")
    assert answer.status_code == 200
    document = json.loads(answer.content)
    assert document["openapi"].startswith("3.")
    described = {
        (method.upper(), path) for path, item in document["paths"].items() for method in item
    }
    assert {
        ("POST", "/api/user"),
        ("GET", "/api/me"),
        ("POST", "/api/token"),
        ("POST", "/api/token/revoke"),
        ("DELETE", "/api/session"),
        ("POST", "/api/webhook/cli"),
        ("GET", "/api/events"),
        ("POST", "/api/rt/ticket"),
        ("GET", "/api/sse"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
    } <= described


@pytest.mark.parametrize("path", ["/", "/openapi.json"])
async def test_pages_load_from_their_own_origin_only(relay: Relay, path: str) -> None:
    answer = await relay.http.get(path)
    assert answer.status_code == 200
    for host in ("cdn.", "unpkg", "jsdelivr", "googleapis"):
        assert host not in answer.text
