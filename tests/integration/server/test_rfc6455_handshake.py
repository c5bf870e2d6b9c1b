"""A WebSocket's handshake by RFC 6455: accepted, refused, and given up."""

import pytest

from tests.support.server.mutations import HANDSHAKE, replaced
from tests.support.server.stage import Server, Stage

HANDSHAKES = {
    "no key": replaced(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""),
    "a key too short": replaced(b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhlIHNhbXBsZQ=="),
    "a key that is no base64": replaced(b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhlIHNhb XBsZSBub25jZ="),
    "two keys": replaced(
        b"Sec-WebSocket-Version", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Version"
    ),
    "no version": replaced(b"Sec-WebSocket-Version: 13\r\n", b""),
    "version 8": replaced(b"Version: 13", b"Version: 8"),
    "versions 13 and 8": replaced(b"Version: 13", b"Version: 13, 8"),
    "HTTP/1.0": replaced(b"HTTP/1.1", b"HTTP/1.0"),
    "a body": replaced(b"Host: relay", b"Host: relay\r\nContent-Length: 4") + b"body",
    "a chunked body": replaced(b"Host: relay", b"Host: relay\r\nTransfer-Encoding: chunked"),
}  # fmt: skip


@pytest.mark.parametrize("name", HANDSHAKES)
async def test_an_invalid_handshake_is_a_400(server: Server, name: str) -> None:
    answer = await server.ask(HANDSHAKES[name])
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in answer
    if "ersion" in name and name != "no key":
        assert b"sec-websocket-version: 13\r\n" in answer


async def test_the_handshake_response_matches_the_rfcs_example(
    server: Server, stage: Stage
) -> None:
    client = await server.connect()
    await client.send(HANDSHAKE)
    visit = await stage.visit()
    assert visit.scope["subprotocols"] == ["relay.v1"]
    await visit.receive()
    await visit.send({"type": "websocket.accept", "subprotocol": "relay.v1", "headers": []})
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += await client.stream.receive_some()
    lowered = answer.lower()
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"\r\nsec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n" in lowered
    assert b"\r\nsec-websocket-protocol: relay.v1\r\n" in lowered
    assert b"sec-websocket-extensions" not in lowered
    visit.leave()


async def test_a_client_may_disconnect_before_the_handshake_is_accepted(
    server: Server, stage: Stage
) -> None:
    client = await server.websocket()
    visit = await stage.visit()
    assert (await visit.receive())["type"] == "websocket.connect"
    await client.stream.aclose()
    assert await visit.receive() == {"type": "websocket.disconnect", "code": 1006}
    await visit.send({"type": "websocket.accept"})  # too late, and harmless
    visit.leave()
