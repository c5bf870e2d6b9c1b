"""WebSocket handshakes: accepted or refused once, with messages from the first moment on."""

from typing import Any

import pytest
from wsproto.events import BytesMessage, Ping, Pong, RejectConnection, TextMessage

from tests.support.client.protocol import masked
from tests.support.server.stage import Server, Stage, opened, serving


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
