"""What caches and browsers may keep: validators are compared weakly, metrics are never stored."""

import pytest

from tests.support.relay_server import Relay

CACHED = ("/", "/docs", "/openapi.json", "/asyncapi.json", "/console/console.js")


@pytest.mark.parametrize("path", CACHED)
async def test_an_answer_that_is_known_is_not_sent_again(relay: Relay, path: str) -> None:
    """A proxy that compresses makes the validator weak (RFC 9110, section 13.1.2)."""
    etag = (await relay.http.get(path)).headers["ETag"]
    for known in (etag, f"W/{etag}", "*", f'"other", {etag}', f'W/"other",W/{etag}'):
        answer = await relay.http.get(path, headers={"If-None-Match": known})
        assert (known, answer.status_code, answer.content) == (known, 304, b"")
    for unknown in ('"other"', 'W/"other"', ""):
        answer = await relay.http.get(path, headers={"If-None-Match": unknown})
        assert (unknown, answer.status_code) == (unknown, 200)


@pytest.mark.parametrize("accept", ["*/*", "application/openmetrics-text", "text/plain"])
async def test_metrics_are_not_stored_and_their_form_depends_on_accept(
    relay: Relay, accept: str
) -> None:
    answer = await relay.http.get("/metrics", headers={"Accept": accept})
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Accept" in answer.headers["Vary"]
