"""A handshake of a page is refused in band, where a script can read it."""

import json

from tests.support.pages import LISTED, closed
from tests.support.relay_server import Relay, bearer, handshake, open_stream, running_relay


async def test_a_page_gets_its_refusal_in_band(relay: Relay) -> None:
    user = await relay.user()
    publisher = (await user.token(scopes=["publish"]))["token"]
    for origin in (relay.url, LISTED):
        for headers, query, code in (
            ({}, "", 4401),
            (bearer("broken"), "", 4401),
            (bearer(publisher), "", 4403),
            ({}, "?ticket=unknown", 4401),
            (bearer(user.session), "?after=nonsense", 4403),
            (bearer(user.session), "?after=oldest&last=1", 4403),
        ):
            message, close_code = await closed(relay, query, **headers, Origin=origin)
            assert (query, message["code"], close_code) == (query, code, code)
            assert message["reason"]
    # other clients than browsers read the status
    for headers, query, status in (
        ({}, "", 401),
        (bearer("broken"), "", 401),
        (bearer(publisher), "", 403),
        ({}, "?ticket=unknown", 401),
        (bearer(user.session), "?after=nonsense", 400),
        (bearer(user.session), "?after=oldest&last=1", 400),
    ):
        refused = await handshake(relay, query, **headers)
        assert (query, refused.status_code) == (query, status)
        assert refused.headers["Content-Type"] == "application/problem+json"


async def test_a_page_over_the_connection_cap_is_refused_in_band(database_url: str) -> None:
    async with running_relay(database_url, RELAY_MAX_CONNECTIONS_PER_USER="1") as relay:
        user = await relay.user()
        async with open_stream(relay, "websocket", user.session) as stream:
            await stream.hello()
            message, code = await closed(relay, **bearer(user.session), Origin=relay.url)
            assert (message["code"], code) == (4429, 4429)
            assert message["retry_after_ms"] > 0
            refused = await handshake(relay, **bearer(user.session))
            assert refused.status_code == 429
            assert int(refused.headers["Retry-After"]) > 0


async def test_refusals_in_band_are_json_objects_with_every_field(relay: Relay) -> None:
    async with open_stream(
        relay, "websocket", None, headers={"Origin": LISTED}, subprotocols=["relay.v1"]
    ) as stream:
        message = json.loads(await stream.text())
    assert message == {
        "type": "close",
        "code": 4401,
        "reason": "unauthorized",
        "retry_after_ms": None,
    }
