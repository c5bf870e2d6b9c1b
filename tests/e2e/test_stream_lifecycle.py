"""How a stream lives and ends: heartbeats, limits on client messages, and every way to close."""

import gc
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage

from relay.observability import metrics
from tests.support.client.connection import ClientConnection
from tests.support.client.protocol import HANDSHAKE, head
from tests.support.client.streams import Refused, WebSocketStream
from tests.support.clock import pass_by
from tests.support.patience import PATIENCE, eventually
from tests.support.relay_server import (
    Relay,
    User,
    bearer,
    handshake,
    open_stream,
    raw_http,
    raw_websocket,
    running_relay,
)

TRANSPORTS = pytest.mark.parametrize("transport", ["websocket", "sse"])


async def ended(stream: Any) -> dict[str, Any]:
    """The in-band close, and that nothing but the end follows it."""
    close: dict[str, Any] = await stream.control("close")
    assert set(close) == {"type", "code", "reason", "retry_after_ms"}, close
    if isinstance(stream, WebSocketStream):
        assert await stream.close_code() == close["code"]
    else:
        with pytest.raises(EOFError), trio.fail_after(PATIENCE):
            await stream.block()
    return close


async def batch(user: User, count: int, payload: str = "{}") -> None:
    line = f'{{"event_type":"log","ts":"2026-01-31T12:00:00Z","payload":{payload}}}'
    headers = {**bearer(await user.hook()), "Content-Type": "application/x-ndjson"}
    answer = await user.relay.http.post(
        "/api/webhook/cli", content="\n".join([line] * count), headers=headers
    )
    assert answer.status_code == 200, answer.text


# -- what stands on the wire


async def test_server_sent_events_start_at_once_with_their_headers(relay: Relay) -> None:
    user = await relay.user()
    async with open_stream(relay, "sse", user.session) as stream:
        with trio.fail_after(PATIENCE):
            first = await stream.block()
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["cache-control"] == "no-cache, no-transform"
        assert stream.headers["x-accel-buffering"] == "no"
        assert "x-request-id" in stream.headers
        assert "content-encoding" not in stream.headers
    assert "retry: 2000" in first
    assert "event: hello" in first
    hello = json.loads(next(line for line in first if line.startswith("data: "))[6:])
    assert f"id: {hello['cursor']}" in first


async def test_a_plain_client_gets_exactly_one_object_a_message(relay: Relay) -> None:
    user = await relay.user()
    await batch(user, 300)
    async with open_stream(relay, "websocket", user.session, "?after=oldest") as stream:
        messages = [json.loads(await stream.text()) for _ in range(301)]
        await batch(user, 300)
        messages += [json.loads(await stream.text()) for _ in range(300)]
        assert stream.subprotocol is None
    assert [message.get("seq") for message in messages] == [None, *range(1, 601)]


async def test_relay_v1_gets_arrays_of_at_most_256_kib(relay: Relay) -> None:
    user = await relay.user()
    large = json.dumps("x" * 60_000)
    for _ in range(2):
        await batch(user, 15, large)
    await batch(user, 300)
    async with open_stream(
        relay,
        "websocket",
        user.session,
        "?after=oldest",
        subprotocols=["relay.v1"],
    ) as stream:
        assert stream.subprotocol == "relay.v1"
        seqs: list[int] = []
        arrays = 0
        hello = json.loads(await stream.text())
        assert hello["type"] == "hello"
        while len(seqs) < 660:
            if len(seqs) == 330:
                for _ in range(2):
                    await batch(user, 15, large)
                await batch(user, 300)
            text = await stream.text()
            assert len(text.encode()) <= 256 * 1024
            message = json.loads(text)
            arrays += isinstance(message, list)
            seqs += [event["seq"] for event in (message if type(message) is list else [message])]
    assert seqs == list(range(1, 661))
    assert arrays > 1


async def test_an_unknown_subprotocol_is_not_selected(relay: Relay) -> None:
    user = await relay.user()
    async with open_stream(relay, "websocket", user.session, subprotocols=["other.v9"]) as stream:
        assert stream.subprotocol is None
        await stream.hello()


# -- signs of life


@asynccontextmanager
async def beating(database_url: str) -> AsyncIterator[Relay]:
    """A beat every 1000 s, and 2500 s for a sign of life."""
    async with running_relay(
        database_url,
        RELAY_HEARTBEAT="1000",
        RELAY_IDLE_TIMEOUT="2500",
        RELAY_SEND_TIMEOUT="3600",
    ) as relay:
        yield relay


async def test_a_silent_client_is_pinged_and_closed_when_it_never_answers(
    database_url: str, clock: MockClock
) -> None:
    async with beating(database_url) as relay:
        user = await relay.user()
        async with raw_websocket(relay, bearer(user.session)) as socket:
            assert (await socket.message())["heartbeat_s"] == 1000
            for _ in range(2):
                await pass_by(clock, 1000)
                assert isinstance(await socket.frame(), Ping)
            await pass_by(clock, 500)
            assert await _close_of(socket) == (4408, 4408)


async def test_a_busy_stream_is_pinged_and_stays_open_while_its_client_answers(
    database_url: str, clock: MockClock
) -> None:
    async with beating(database_url) as relay:
        user = await relay.user()
        async with raw_websocket(relay, bearer(user.session)) as socket:
            await socket.hello()
            for seq in range(1, 6):
                await pass_by(clock, 600)
                await user.posted()
                assert (await socket.message())["seq"] == seq
                await pass_by(clock, 400)
                ping = await socket.frame()
                assert isinstance(ping, Ping)
                await socket.pong(ping)
            await user.posted()
            assert (await socket.message())["seq"] == 6


async def test_a_busy_stream_whose_client_never_answers_is_closed(
    database_url: str, clock: MockClock
) -> None:
    async with beating(database_url) as relay:
        user = await relay.user()
        async with raw_websocket(relay, bearer(user.session)) as socket:
            await socket.hello()
            for seq in range(1, 5):
                await pass_by(clock, 500)
                await user.posted()
                assert (await socket.message())["seq"] == seq
            await pass_by(clock, 500)
            assert await _close_of(socket) == (4408, 4408)


async def test_a_slow_reader_of_a_long_history_is_pinged_on_its_way(
    database_url: str, clock: MockClock
) -> None:
    """It reads all the while and answers every ping: nothing about it is idle."""
    async with beating(database_url) as relay:
        user = await relay.user()
        for _ in range(25):
            await batch(user, 10, json.dumps("x" * 60_000))
        async with raw_websocket(relay, bearer(user.session), "?after=oldest") as socket:
            await socket.hello()
            seqs: list[int] = []
            while len(seqs) < 250:
                message = await socket.message(answering=True)
                assert isinstance(message, dict), (message, len(seqs))
                assert "seq" in message, (message, len(seqs))
                seqs.append(message["seq"])
                await pass_by(clock, 15)  # a thin line: 250 events take over an hour
            await user.posted()
            assert (await socket.message(answering=True))["seq"] == 251
    assert seqs == list(range(1, 251))


async def test_relay_v1_gets_heartbeat_messages(database_url: str, clock: MockClock) -> None:
    async with beating(database_url) as relay:
        user = await relay.user()
        async with (
            raw_websocket(relay, bearer(user.session), "", "relay.v1") as greeted,
            raw_websocket(relay, bearer(user.session)) as plain,
        ):
            await greeted.hello()
            await plain.hello()
            for _ in range(2):
                await pass_by(clock, 1000)
                assert (await greeted.message(answering=True)).keys() == {"type", "ts"}
                ping = await plain.frame()
                assert isinstance(ping, Ping)  # and no message: it did not ask for any
                await plain.pong(ping)
            await user.posted()
            assert (await plain.message())["seq"] == 1


async def test_sse_heartbeats_are_comments_without_an_id(
    database_url: str, clock: MockClock
) -> None:
    async with beating(database_url) as relay:
        user = await relay.user()
        async with open_stream(relay, "sse", user.session) as stream:
            await stream.hello()
            for _ in range(3):
                await pass_by(clock, 1000)
                with trio.fail_after(PATIENCE):
                    lines = await stream.block()
                assert all(line.startswith(":") for line in lines)
            await user.posted()
            assert (await stream.next())["seq"] == 1


# -- what a client may say


async def test_client_messages_are_ignored_up_to_4_kib_and_10_a_second(relay: Relay) -> None:
    user = await relay.user()
    async with raw_websocket(relay, bearer(user.session)) as socket:
        await socket.message()
        for data in ("", "x", '{"type":"close"}', "é" * 2048, "x" * 4096, "subscribe *"):
            await socket.say(data)
        await socket.put(BytesMessage(data=b"\x00" * 4096))
        await user.posted()
        assert (await socket.message())["seq"] == 1


async def test_a_message_over_4_kib_ends_the_stream(relay: Relay) -> None:
    user = await relay.user()
    whole = TextMessage(data="x" * 4097)
    in_bytes = BytesMessage(data=b"x" * 4097)
    wide = TextMessage(data="é" * 2049)
    huge = TextMessage(data="x" * 100_000)
    parts = [TextMessage(data="x" * 2049, message_finished=last) for last in (False, True)]
    for frames in ([whole], [in_bytes], [wide], [huge], parts):
        async with raw_websocket(relay, bearer(user.session)) as socket:
            await socket.message()
            for frame in frames:
                await socket.put(frame)
            assert await _close_of(socket) == (1009, 1009)


async def test_more_than_10_messages_a_second_end_the_stream(
    relay: Relay, clock: MockClock
) -> None:
    user = await relay.user()
    async with raw_websocket(relay, bearer(user.session)) as socket:
        await socket.message()
        for _ in range(2):
            clock.rate = 0  # one moment
            for _ in range(10):
                await socket.say("x")
            await pass_by(clock, 1)
            clock.rate = 1
            await user.posted()
            assert "seq" in await socket.message()
        clock.rate = 0
        for _ in range(21):
            await socket.say("x")
        await wait_all_tasks_blocked()
        clock.rate = 1
        assert await _close_of(socket) == (4429, 4429)


async def _close_of(socket: ClientConnection) -> tuple[int | None, int]:
    """The code of the in-band close, None if there was none, and of the close frame."""
    message = await socket.message()
    if isinstance(message, int):
        return None, message
    assert set(message) == {"type", "code", "reason", "retry_after_ms"}
    code = await socket.message()
    assert isinstance(code, int)
    return message["code"], code


async def test_a_clients_close_is_answered_and_leaves_nothing(relay: Relay) -> None:
    user = await relay.user()
    async with raw_websocket(relay, bearer(user.session)) as socket:
        await socket.message()
        await socket.put(CloseConnection(code=1000))
        assert await socket.message() == 1000
    assert (await user.posted())["watchers"] == 0


# -- ends


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


# -- how many


async def refusals(relay: Relay, token: str, **headers: str) -> set[tuple[int, str]]:
    """How both transports refuse one more stream."""
    given = {**bearer(token), **headers}
    sse = await relay.http.get("/api/sse", headers=given)
    websocket = await handshake(relay, **given)
    for answer in (sse, websocket):
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert int(answer.headers["Retry-After"]) > 0
    return {(answer.status_code, answer.json()["code"]) for answer in (sse, websocket)}


def behind(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address}


@pytest.fixture
async def crowded(database_url: str) -> AsyncIterator[Relay]:
    async with running_relay(
        database_url,
        RELAY_MAX_CONNECTIONS="3",
        RELAY_MAX_CONNECTIONS_PER_USER="2",
        RELAY_TRUSTED_PROXIES="1",
        RELAY_MAX_CONNECTIONS_PER_ADDRESS="2",
    ) as relay:
        yield relay


async def test_streams_are_counted_by_user_address_and_process(crowded: Relay) -> None:
    one, other, third = [await crowded.user() for _ in range(3)]
    async with (
        open_stream(crowded, "websocket", one.session, headers=behind("192.0.2.1")) as first,
        open_stream(crowded, "sse", await one.hook(), headers=behind("192.0.2.2")) as second,
    ):
        await first.hello()
        await second.hello()
        full_user = await refusals(crowded, one.session, **behind("192.0.2.3"))
        assert full_user == {(429, "too_many_connections")}
        async with open_stream(
            crowded, "sse", other.session, headers=behind("192.0.2.1")
        ) as stream:
            await stream.hello()
            (full,) = await refusals(crowded, third.session, **behind("192.0.2.9"))
            assert full[0] == 503
            assert (await one.call("GET", "/api/me")).json()["connections"] == 2
            assert (await one.posted())["watchers"] == 2  # and everything else still works
        # a place that is left is free again
        returning: dict[str, Any] = {
            "headers": behind("192.0.2.2"),
            "insist": True,
        }  # until it is noticed
        async with open_stream(crowded, "websocket", other.session, **returning) as stream:
            await stream.hello()
            await one.posted()
            assert len(await first.events(2)) == len(await second.events(2)) == 2


async def test_streams_of_one_address_are_bounded(database_url: str) -> None:
    async with running_relay(database_url, RELAY_MAX_CONNECTIONS_PER_ADDRESS="2") as relay:
        users = [await relay.user() for _ in range(3)]
        async with (
            open_stream(relay, "sse", users[0].session) as first,
            open_stream(relay, "websocket", users[1].session) as second,
        ):
            await first.hello()
            await second.hello()
            # without a trusted proxy the header is a stranger's word
            refused = await refusals(relay, users[2].session, **behind("192.0.2.1"))
            assert refused == {(429, "too_many_connections")}


async def test_the_bound_is_exact_for_concurrent_handshakes(database_url: str) -> None:
    async with running_relay(database_url, RELAY_MAX_CONNECTIONS_PER_USER="3") as relay:
        user = await relay.user()
        outcomes: list[str] = []
        enough, settled = trio.Event(), trio.Event()

        async def come(transport: str) -> None:
            opened: Any
            if transport == "websocket":
                opened = raw_websocket(relay, bearer(user.session))
            else:
                opened = open_stream(relay, transport, user.session)
            try:
                async with opened as stream:
                    note((await stream.hello())["type"])
                    await enough.wait()
            except (AssertionError, Refused):
                note("refused")

        def note(outcome: str) -> None:
            outcomes.append(outcome)
            if len(outcomes) == 30:
                settled.set()

        async with trio.open_nursery() as nursery:
            for number in range(30):
                nursery.start_soon(come, ("websocket", "sse")[number % 2])
            with trio.fail_after(PATIENCE):
                await settled.wait()
            assert outcomes.count("hello") == 3
            assert (await user.posted())["watchers"] == 3
            enough.set()


async def test_a_full_process_refuses_a_page_in_band(database_url: str) -> None:
    async with running_relay(database_url, RELAY_MAX_CONNECTIONS="1") as relay:
        one, other = await relay.user(), await relay.user()
        async with open_stream(relay, "websocket", one.session) as stream:
            await stream.hello()
            async with open_stream(
                relay, "websocket", other.session, headers={"Origin": relay.url}
            ) as refused:
                close = await ended(refused)
    assert close["code"] == 4429
    assert close["retry_after_ms"] > 0


async def test_watchers_are_counted_exactly(relay: Relay) -> None:
    user = await relay.user()
    assert (await user.posted())["watchers"] == 0
    async with open_stream(relay, "websocket", user.session) as first:
        await first.hello()
        assert (await user.posted())["watchers"] == 1
        async with open_stream(relay, "sse", user.session) as second:
            await second.hello()
            assert (await user.posted())["watchers"] == 2
            assert (await user.call("GET", "/api/me")).json()["connections"] == 2
        with trio.fail_after(PATIENCE):
            while (await user.posted())["watchers"] != 1:
                pass
    with trio.fail_after(PATIENCE):
        while (await user.posted())["watchers"] != 0:
            pass


async def test_head_describes_a_stream_without_opening_it(relay: Relay) -> None:
    user = await relay.user()
    async with raw_http(relay) as connection:
        for _ in range(2):
            await connection.send(
                head("/api/sse", f"Authorization: Bearer {user.session}", method="HEAD")
            )
            answer = await connection.answer("HEAD")
            assert answer.status_code == 200
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            assert answer.headers["Cache-Control"] == "no-cache, no-transform"
        assert (await user.posted())["watchers"] == 0
        await connection.send(head("/api/sse", method="HEAD"))
        assert (await connection.answer("HEAD")).status_code == 401


async def test_http_1_0_gets_server_sent_events_until_the_end(relay: Relay) -> None:
    user = await relay.user()
    request = head("/api/sse", f"Authorization: Bearer {user.session}", method="GET")
    async with raw_http(relay) as connection:
        await connection.send(request.replace(b"HTTP/1.1", b"HTTP/1.0"))
        text = b""
        with trio.fail_after(PATIENCE):
            while b"event: hello" not in text:
                text += await connection.receive()
            await user.posted()
            while b'"seq":1' not in text:
                text += await connection.receive()
    header, _, body = text.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in header.lower()
    assert body.startswith(b"retry: 2000\nevent: hello\n")


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
