"""The transport offered to the application: ready bytes in order, framed as the connection is."""

import os

import h11
import pytest
import trio
import trio.testing
from wsproto.events import CloseConnection, Ping, TextMessage

from tests.support.patience import eventually
from tests.support.server.stage import Server, Stage, get, opened
from tests.support.server.writes import HELLO, MUCH, chunk, frame, streaming


async def test_the_framing_tells_how_ready_bytes_are_framed(
    either_server: Server, stage: Stage
) -> None:
    _, visit = await opened(either_server, stage)
    assert visit.handle.framing == "websocket"
    visit.leave()
    for version, framing in (("1.1", "chunked"), ("1.0", "close")):
        _, visit = await streaming(either_server, stage, get(version=version))
        assert visit.handle.framing == framing
        await visit.respond()
        visit.leave()


async def test_ready_frames_stand_between_ordinary_ones(
    either_server: Server, stage: Stage
) -> None:
    client, visit = await opened(either_server, stage)
    await visit.send({"type": "websocket.send", "text": "one"})
    assert visit.handle.try_send(HELLO)
    await visit.handle.send_raw(HELLO)
    await visit.send({"type": "websocket.send", "text": "two"})
    texts = ("one", "hello", "hello", "two")
    assert [await client.frame() for _ in texts] == [TextMessage(text) for text in texts]
    visit.leave()


async def test_ready_chunks_stand_between_ordinary_ones(
    either_server: Server, stage: Stage
) -> None:
    client, visit = await streaming(either_server, stage, get())
    await visit.start((b"content-type", b"text/event-stream"))
    await visit.body(b"one ", more=True)
    assert visit.handle.try_send(chunk(b"two "))
    await visit.handle.send_raw(chunk(b"three "))
    await visit.body(b"four")
    visit.leave()
    assert (await client.response())[1] == b"one two three four"


async def test_ready_bytes_are_the_body_itself_in_http_1_0(
    either_server: Server, stage: Stage
) -> None:
    client, visit = await streaming(either_server, stage, get(version="1.0"))
    await visit.start()
    assert visit.handle.try_send(b"data: one\n\n")
    await visit.handle.send_raw(b"data: two\n\n")
    await visit.body()
    visit.leave()
    assert (await client.rest()).endswith(b"\r\n\r\ndata: one\n\ndata: two\n\n")


async def test_a_partial_write_is_finished_before_anything_else(
    either_server: Server, stage: Stage
) -> None:
    client, visit = await opened(either_server, stage)
    count = 0
    while visit.handle.try_send(frame(bytes([count]) * MUCH)):
        count += 1
    assert count > 0
    assert not visit.handle.try_send(HELLO)  # the remainder waits: nothing may pass it

    async def write_on() -> None:
        await visit.handle.send_raw(HELLO)
        await visit.send({"type": "websocket.send", "text": "last"})

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write_on)
        for number in range(count):
            whole = frame(bytes([number]) * MUCH)
            assert await client.exactly(len(whole)) == whole
        assert await client.exactly(len(HELLO)) == HELLO
        assert await client.exactly(6) == b"\x81\x04last"
    assert visit.handle.try_send(HELLO)
    visit.leave()


async def test_a_partial_write_is_finished_without_a_further_write(
    either_server: Server, stage: Stage
) -> None:
    client, visit = await opened(either_server, stage)
    assert visit.handle.try_send(frame(bytes(MUCH * 20)))
    assert await client.exactly(MUCH * 20 + 10) == frame(bytes(MUCH * 20))
    visit.leave()


async def test_try_send_does_not_overtake_a_write_under_way(server: Server, stage: Stage) -> None:
    client, visit = await opened(server, stage)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(visit.handle.send_raw, frame(bytes(MUCH * 20)))
        await trio.testing.wait_all_tasks_blocked()
        read = len(os.read(client.stream.socket.fileno(), MUCH))  # room, before the writer wakes
        assert not visit.handle.try_send(HELLO)
        await client.exactly(MUCH * 20 + 10 - read)
    assert visit.handle.try_send(HELLO)
    visit.leave()


async def test_ready_bytes_are_refused_outside_their_stream(
    either_server: Server, stage: Stage
) -> None:
    client = await either_server.websocket()
    visit = await stage.visit()
    assert not visit.handle.try_send(HELLO)
    with pytest.raises(RuntimeError):
        await visit.handle.send_raw(HELLO)
    await visit.accept()
    assert visit.handle.try_send(HELLO)
    await visit.close()
    assert not visit.handle.try_send(HELLO)
    await visit.handle.send_raw(HELLO)  # silence, as with every message after the end
    await client.accepted()
    assert await client.frame() == TextMessage("hello")
    assert isinstance(await client.frame(), CloseConnection)
    visit.leave()


async def test_ready_bytes_cannot_break_a_counted_response(server: Server, stage: Stage) -> None:
    client, visit = await streaming(server, stage, get())
    await visit.start((b"Content-Length", b"2"))
    assert not visit.handle.try_send(chunk(b"xx"))
    await visit.body(b"ok")
    visit.leave()
    assert (await client.response())[1] == b"ok"


async def test_a_finished_request_cannot_touch_the_next(server: Server, stage: Stage) -> None:
    client, first = await streaming(server, stage, get())
    await first.start()
    await first.body(b"first")
    first.leave()
    await client.response()
    await client.send(get())
    second = await stage.visit()
    await second.start()
    assert not first.handle.try_send(chunk(b"stray"))
    first.handle.abort()
    await second.body(b"second")
    assert (await client.response())[1] == b"second"
    second.leave()


async def test_a_ping_is_a_ping(server: Server, stage: Stage) -> None:
    client, visit = await opened(server, stage)
    await visit.handle.ping(b"1")
    ping = await client.frame()
    assert ping == Ping(b"1")
    with pytest.raises(ValueError, match="125"):
        await visit.handle.ping(bytes(126))
    visit.leave()


async def test_http_cannot_be_pinged(server: Server, stage: Stage) -> None:
    _, visit = await streaming(server, stage, get())
    with pytest.raises(RuntimeError):
        await visit.handle.ping()
    await visit.respond()
    visit.leave()


async def test_the_answer_to_a_head_request_has_no_place_for_ready_bytes(
    server: Server, stage: Stage
) -> None:
    client, visit = await streaming(server, stage, get().replace(b"GET", b"HEAD"))
    await visit.start()
    assert not visit.handle.try_send(chunk(b"body"))
    await visit.body()
    visit.leave()
    response, body = await client.response(method="HEAD")
    assert isinstance(response, h11.Response)
    assert body == b""


async def test_client_messages_are_received_where_they_are_read(
    server: Server, stage: Stage
) -> None:
    client, visit = await opened(server, stage)
    heard: list[dict[str, object]] = []
    news, called = trio.open_memory_channel[None](10)

    def forward_events(event: dict[str, object]) -> None:
        heard.append(event)
        news.send_nowait(None)

    last = visit.handle.last_received
    await client.put(TextMessage("before"))
    await eventually(lambda: visit.handle.last_received > last)
    await trio.testing.wait_all_tasks_blocked()
    assert visit.handle.forward_events(forward_events)
    assert [event["text"] for event in heard] == ["before"]
    await client.put(TextMessage("after"))
    await called.receive()
    await called.receive()
    assert heard[-1] == {"type": "websocket.receive", "bytes": None, "text": "after"}
    await client.put(CloseConnection(1000))
    await called.receive()
    assert heard[-1] == {"type": "websocket.disconnect", "code": 1000}
    assert await visit.receive() == heard[-1]
    visit.leave()
    assert len(heard) == 3
