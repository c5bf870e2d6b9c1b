"""What stands on the wire of a stream: headers, single messages, arrays, the old HTTP."""

import json

import trio

from tests.support.client.protocol import head
from tests.support.patience import PATIENCE
from tests.support.relay_server import Relay, open_stream, raw_http
from tests.support.stream_ends import batch


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
