"""WebSockets: handshakes, bounds, endings."""

from collections.abc import Iterator
from typing import Any

import pytest
import trio
import trio.testing
from quart import websocket
from quart_trio import QuartTrio
from wsproto.connection import Connection
from wsproto.events import (
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    TextMessage,
)

from relay.server.limits import ConnectionLimits
from relay.server.messages import FRAMES_PER_TURN
from tests.support.client.connection import ClientConnection
from tests.support.client.protocol import masked
from tests.support.server.stage import HOUR, Server, Stage, opened, serving

CLOSE_FRAME = 0x88


async def say_on_until_cut(client: ClientConnection, event: TextMessage | BytesMessage) -> None:
    try:
        while True:
            await client.put(event)
    except trio.BrokenResourceError:
        pass


async def test_compression_is_never_negotiated(server: Server, stage: Stage) -> None:
    client = await server.websocket()
    visit = await stage.visit()
    await visit.accept()
    accepted = await client.accepted()
    assert accepted.extensions == []
    visit.leave()


async def test_messages_go_both_ways(server: Server, stage: Stage) -> None:
    client, visit = await opened(server, stage)
    await client.put(TextMessage("hé"))
    assert await visit.receive() == {"type": "websocket.receive", "bytes": None, "text": "hé"}
    await client.put(BytesMessage(b"\x00\xff"))
    assert (await visit.receive())["bytes"] == b"\x00\xff"
    await visit.send({"type": "websocket.send", "text": "hello"})
    assert await client.frame() == TextMessage("hello")
    visit.leave()


async def test_an_empty_binary_frame_is_a_message(server: Server, stage: Stage) -> None:
    client, visit = await opened(server, stage)
    await client.put(BytesMessage(b""))
    assert await visit.receive() == {"type": "websocket.receive", "bytes": b"", "text": None}
    visit.leave()


async def test_frames_sent_before_the_handshake_ended_are_delivered_after_it(
    server: Server, stage: Stage
) -> None:
    client = await server.websocket(extra=masked(0x81, b"early"))
    visit = await stage.visit()
    await client.send(masked(0x81, b"and again"))
    await visit.accept()
    assert (await visit.receive())["text"] == "early"
    assert (await visit.receive())["text"] == "and again"
    visit.leave()


@pytest.mark.parametrize("early", [b"x", masked(0x81, b"early"), b"GET / HTTP/1.1\r\n\r\n"])
async def test_bytes_around_a_refusal_do_not_harm_it(
    server: Server, stage: Stage, early: bytes
) -> None:
    client = await server.websocket(extra=early)
    visit = await stage.visit()
    await client.send(early)
    await visit.close()
    visit.leave()
    await client.send(early)
    answer = await client.rest()
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"application/problem+json" in answer
    assert b"connection: close" in answer.lower()


async def test_the_applications_refusal_is_the_only_response(server: Server, stage: Stage) -> None:
    client = await server.websocket()
    visit = await stage.visit()
    start = {"type": "websocket.http.response.start", "status": 401}
    await visit.send(start | {"headers": [(b"content-length", b"2")]})
    await visit.send({"type": "websocket.http.response.body", "body": b"no"})
    assert isinstance(await client.frame(), RejectConnection)
    assert await client.rest() == b""
    visit.leave()


async def test_an_application_error_in_the_handshake_is_a_500(server: Server) -> None:
    async def dies(scope: object, receive: object, send: object) -> None:
        raise RuntimeError

    async with serving(dies) as broken:
        client = await broken.websocket()
        answer = await client.rest()
        assert answer.startswith(b"HTTP/1.1 500 ")
        assert b'"code":"internal_error"' in answer
        assert broken.observer.application_failures


async def test_accepting_with_a_foreign_subprotocol_is_a_500() -> None:
    async def accepts_wrongly(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept", "subprotocol": "nobody-asked", "headers": []})

    async with serving(accepts_wrongly) as broken:
        answer = await (await broken.websocket()).rest()
        assert answer.startswith(b"HTTP/1.1 500 ")


async def test_a_ping_is_answered_and_every_frame_is_a_sign_of_life(
    server: Server, stage: Stage
) -> None:
    client, visit = await opened(server, stage)
    before = visit.handle.last_received
    await client.put(Ping(b"are you there"))
    assert await client.frame() == Pong(b"are you there")
    assert visit.handle.last_received > before
    before = visit.handle.last_received
    await client.put(Pong(b""))
    await client.put(Ping(b""))  # its answer says that the pong before it was read
    await client.frame()
    assert visit.handle.last_received > before
    visit.leave()


async def test_a_message_limit_counts_bytes_not_characters(stage: Stage) -> None:
    async with serving(stage, websocket_max_message_size=10) as server:
        client, visit = await opened(server, stage)
        await client.put(TextMessage("é" * 5))
        assert (await visit.receive())["text"] == "é" * 5
        await client.put(TextMessage("é" * 6))
        assert await client.close_code() == 1009
        assert await visit.receive() == {"type": "websocket.disconnect", "code": 1009}
        visit.leave()


async def test_endless_fragments_end_with_1009_and_the_connection(stage: Stage) -> None:
    limits = ConnectionLimits(close_timeout=HOUR, max_discarded=100_000)
    async with serving(stage, limits=limits, websocket_max_message_size=1_000) as server:
        client, visit = await opened(server, stage)
        await say_on_until_cut(client, TextMessage("x" * 100, message_finished=False))
        assert await visit.receive() == {"type": "websocket.disconnect", "code": 1009}
        visit.leave()
        await server.observer.until(lambda: server.observer.live == 0)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (masked(0x81, b"\xff\xfe"), 1007),
        (masked(0x88, b"\x03\xe8\xff"), 1007),
        (b"\x81\x02hi", 1002),  # not masked
        (masked(0x83, b""), 1002),  # an undefined opcode
        (masked(0xC1, b""), 1002),  # compressed, though nothing was negotiated
        (masked(0x09, b""), 1002),  # a ping in fragments
        (masked(0x80, b""), 1002),  # a continuation of nothing
        (masked(0x88, b"\x00"), 1002),
        (masked(0x88, b"\x03\xed"), 1002),  # 1005, which must not be sent
    ],
)
async def test_an_invalid_frame_ends_the_connection_with_its_close_code(
    server: Server, stage: Stage, frame: bytes, code: int
) -> None:
    client, visit = await opened(server, stage)
    await client.send(frame)
    assert await client.close_code() == code
    assert await client.rest() == b""
    assert await visit.receive() == {"type": "websocket.disconnect", "code": code}
    visit.leave()


async def test_the_clients_close_is_answered_with_its_code(server: Server, stage: Stage) -> None:
    client, visit = await opened(server, stage)
    await client.put(CloseConnection(4000, "bye"))
    assert await client.frame() == CloseConnection(4000, "bye")
    assert await client.rest() == b""
    assert await visit.receive() == {"type": "websocket.disconnect", "code": 4000}
    visit.leave()


async def test_a_close_waits_until_it_is_answered(server: Server, stage: Stage) -> None:
    client, visit = await opened(server, stage)
    await visit.close(4401, "expired")
    visit.leave()
    assert await client.frame() == CloseConnection(4401, "expired")
    assert server.observer.live == 1
    await client.put(CloseConnection(4401))
    await server.observer.until(lambda: server.observer.live == 0)


@pytest.mark.parametrize("returned", [True, False])
async def test_a_close_that_is_not_answered_ends_within_the_close_timeout(
    stage: Stage, returned: bool
) -> None:
    async with serving(stage, limits=ConnectionLimits(close_timeout=0.1)) as server:
        client, visit = await opened(server, stage)
        await visit.close(1012)
        if returned:
            visit.leave()
        assert await client.close_code() == 1012
        assert await client.rest() == b""
        if not returned:
            assert await visit.receive() == {"type": "websocket.disconnect", "code": 1012}
            visit.leave()
        await server.observer.until(lambda: server.observer.live == 0)


async def test_the_close_code_survives_a_client_that_keeps_sending(stage: Stage) -> None:
    async with serving(stage, limits=ConnectionLimits(close_timeout=HOUR)) as server:
        client, visit = await opened(server, stage)
        for _ in range(100):
            await client.put(TextMessage("not read by anybody"))
        await trio.testing.wait_all_tasks_blocked()  # now the reading waits for the application
        await visit.close(4429)
        visit.leave()
        for _ in range(100):
            await client.put(TextMessage("still talking"))
        assert await client.close_code() == 4429
        await client.put(CloseConnection(4429))
        assert await client.rest() == b""
        await server.observer.until(lambda: server.observer.live == 0)


async def test_data_after_a_close_is_bounded(stage: Stage) -> None:
    limits = ConnectionLimits(close_timeout=HOUR, max_discarded=100_000)
    async with serving(stage, limits=limits) as server:
        client, visit = await opened(server, stage)
        await visit.close()
        visit.leave()
        await say_on_until_cut(client, BytesMessage(bytes(1_000)))


async def test_an_application_that_returns_without_closing_is_a_1011(
    server: Server, stage: Stage
) -> None:
    client, visit = await opened(server, stage)
    visit.leave()
    assert await client.close_code() == 1011


async def test_messages_sent_after_a_close_are_dropped(server: Server, stage: Stage) -> None:
    client, visit = await opened(server, stage)
    await visit.close(1012)
    await visit.send({"type": "websocket.send", "text": "too late"})
    assert await client.frame() == CloseConnection(1012, "")
    await client.put(CloseConnection(1012))
    assert await client.rest() == b""
    visit.leave()


async def test_an_application_that_does_not_read_stops_the_reading(
    server: Server, stage: Stage
) -> None:
    client, visit = await opened(server, stage)
    sent = 0

    async def say_on() -> None:
        nonlocal sent
        while True:
            await client.put(BytesMessage(bytes(60_000)))
            sent += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(say_on)
        await trio.testing.wait_all_tasks_blocked()
        stopped_at = sent
        while sent == stopped_at:  # and where it reads again, the client goes on
            assert (await visit.receive())["type"] == "websocket.receive"
        nursery.cancel_scope.cancel()
    visit.handle.abort()
    visit.leave()


async def test_a_lost_client_is_reported_with_a_full_queue(server: Server, stage: Stage) -> None:
    client, visit = await opened(server, stage)
    for number in range(50):
        await client.put(TextMessage(str(number)))
    visit.handle.abort()
    received = [await visit.receive() for _ in range(11)]
    assert [event.get("text") for event in received[:10]] == [str(n) for n in range(10)]
    assert received[10]["type"] == "websocket.disconnect"
    assert (await visit.receive())["type"] == "websocket.disconnect"
    visit.leave()


async def test_a_quart_handler_that_returns_with_unread_messages_frees_its_connection() -> None:
    app = QuartTrio(__name__)

    @app.websocket("/")
    async def reads_one() -> None:
        await websocket.receive()

    async with serving(app, limits=ConnectionLimits(close_timeout=HOUR)) as server:
        client = await server.websocket()
        await client.accepted()
        for _ in range(100):
            await client.put(TextMessage("unread"))
        assert await client.close_code() == 1000
        await client.put(CloseConnection(1000))
        await server.observer.until(lambda: server.observer.live == 0)


async def test_a_send_only_loop_does_not_block_others(server: Server, stage: Stage) -> None:
    client, visit = await opened(server, stage)
    await client.stream.aclose()
    assert (await visit.receive())["type"] == "websocket.disconnect"
    for _ in range(100):
        with trio.testing.assert_checkpoints():
            await visit.send({"type": "websocket.send", "text": "to nobody"})
    visit.leave()


class Parsed(trio.abc.Instrument):
    """Counts the frames that a server parses in one step of its task."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.frames = self.in_step = self.most = 0
        events = Connection.events

        def counted(connection: Connection) -> Iterator[Event]:
            for event in events(connection):
                if not connection.client:
                    self.frames += 1
                    self.in_step += 1
                    self.most = max(self.most, self.in_step)
                yield event

        monkeypatch.setattr(Connection, "events", counted)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.in_step = 0


@pytest.mark.parametrize("closing", [True, False])
async def test_a_flood_of_tiny_frames_does_not_block_others(
    server: Server, stage: Stage, monkeypatch: pytest.MonkeyPatch, closing: bool
) -> None:
    parsed = Parsed(monkeypatch)
    client, visit = await opened(server, stage)
    if closing:
        await visit.close(1012)
    trio.lowlevel.add_instrument(parsed)
    await client.send(masked(0x02, b"") + masked(0x00, b"") * 450 + masked(CLOSE_FRAME, b""))
    await client.rest()
    trio.lowlevel.remove_instrument(parsed)
    assert parsed.frames == 452
    assert parsed.most <= FRAMES_PER_TURN
    visit.leave()


async def test_messages_sent_during_the_clients_close_are_dropped(
    server: Server, stage: Stage
) -> None:
    client, visit = await opened(server, stage)

    async def send_on() -> None:
        while True:
            await visit.send({"type": "websocket.send", "text": "x"})
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_on)
        # the close is the frame before which, or behind which, others get their turn
        await client.send(masked(0x8A, b"") * (FRAMES_PER_TURN - 1) + masked(CLOSE_FRAME, b""))
        while (await visit.receive())["type"] != "websocket.disconnect":
            pass
        nursery.cancel_scope.cancel()
    visit.leave()
    assert await client.close_code() == 1005
