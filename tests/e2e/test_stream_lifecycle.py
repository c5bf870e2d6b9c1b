"""Every way in which a stream ends, announced in band, and what it leaves behind: little."""

import gc
import json

import httpx
import pytest
import trio
from trio.testing import MockClock

from relay.observability import metrics
from tests.support.client.protocol import HANDSHAKE, head
from tests.support.clock import pass_by
from tests.support.patience import PATIENCE, eventually
from tests.support.relay_server import Relay, open_stream, raw_http, running_relay
from tests.support.stream_ends import TRANSPORTS, batch, ended


@TRANSPORTS
async def test_a_revoke_closes_the_tokens_streams_at_once(
    relay: Relay, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "relay.auth.credentials.REVOCATION_POLL_INTERVAL", 3600
    )  # no poll looks for it
    user = await relay.user()
    made = await user.token()
    async with (
        open_stream(relay, transport, made["token"]) as revoked,
        open_stream(relay, transport, user.session) as other,
    ):
        await revoked.hello()
        await other.hello()
        await user.call("POST", "/api/token/revoke", json={"token_id": made["token_id"]})
        close = await ended(revoked)
        assert (close["code"], close["reason"]) == (4401, "revoked")
        assert close["retry_after_ms"] is None
        await user.posted()
        assert len(await other.events(1)) == 1


@TRANSPORTS
async def test_a_stream_ends_when_its_credential_expires(
    relay: Relay, transport: str, clock: MockClock
) -> None:
    user = await relay.user()
    token = (await user.token(expires_in=7200))["token"]
    async with open_stream(relay, transport, token) as stream:
        assert 3600 < (await stream.hello())["token_ttl_s"] <= 7200
        await pass_by(clock, 3600)
        await user.posted()
        assert len(await stream.events(1)) == 1
        await pass_by(clock, 3600)
        close = await ended(stream)
    assert (close["code"], close["reason"]) == (4401, "expired")


@TRANSPORTS
async def test_a_stream_at_its_maximum_age_ends_and_may_reconnect_at_once(
    database_url: str, transport: str, clock: MockClock
) -> None:
    async with running_relay(database_url, RELAY_STREAM_MAX_AGE="3600") as relay:
        user = await relay.user()
        async with open_stream(relay, transport, user.session) as stream:
            hello = await stream.hello()
            await pass_by(clock, 3600)
            close = await ended(stream)
        assert close["code"] == 1012
        assert isinstance(close["retry_after_ms"], int)
        await user.posted()
        async with open_stream(
            relay, transport, user.session, f"?after={hello['cursor']}"
        ) as stream:
            assert (await stream.hello())["resumed"] is True
            assert [event["seq"] for event in await stream.events(1)] == [1]


@TRANSPORTS
async def test_a_stopping_server_closes_streams_and_accepts_no_new_ones(
    database_url: str, transport: str
) -> None:
    stop = trio.Event()
    async with running_relay(database_url, stop) as relay:
        user = await relay.user()
        async with open_stream(relay, transport, user.session) as stream:
            await stream.hello()
            stop.set()
            close = await ended(stream)
        assert close["code"] == 1012
        assert close["retry_after_ms"] >= 0


@TRANSPORTS
async def test_a_stalled_reader_is_disconnected(database_url: str, transport: str) -> None:
    async with running_relay(database_url, RELAY_SEND_TIMEOUT="0.5") as relay:
        user = await relay.user()
        path = "/api/rt" if transport == "websocket" else "/api/sse"
        lines = [f"Authorization: Bearer {user.session}"]
        if transport == "websocket":
            lines += [f"{name}: {value}" for name, value in HANDSHAKE.items()]
        async with raw_http(relay) as connection:
            await connection.send(head(path, *lines, method="GET"))
            with trio.fail_after(PATIENCE):
                while not (await user.posted())["watchers"]:
                    pass
                while (await user.posted())["watchers"]:
                    await batch(user, 15, json.dumps("x" * 60_000))


@pytest.mark.parametrize("path", ["/api/rt", "/api/sse"])
async def test_an_ended_stream_leaves_little_to_the_garbage_collector(
    relay: Relay, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "relay.auth.credentials.REVOCATION_POLL_INTERVAL", 3600
    )  # which leaves something, too
    user = await relay.user()
    transport = {"/api/rt": "websocket", "/api/sse": "sse"}[path]
    open_streams = metrics.connected_sockets.labels(transport)._value
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    upgrade += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    ask = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {user.session}\r\n"
    ask += f"{upgrade if path == '/api/rt' else ''}\r\n"
    url = httpx.URL(relay.url)

    async def come_and_go(times: int) -> None:
        for _ in range(times):
            async with await trio.open_tcp_stream(url.host, url.port or 0) as socket:
                await socket.send_all(ask.encode())
                seen = b""
                while b"hello" not in seen:
                    seen += await socket.receive_some()
        await eventually(lambda: open_streams.get() == 0)

    await come_and_go(2)
    gc.collect()
    gc.disable()
    try:
        await come_and_go(20)
        assert gc.collect() / 20 < 40  # of some 250 objects that each had
    finally:
        gc.enable()
