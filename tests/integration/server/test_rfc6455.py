"""WebSockets by RFC 6455: frames, fragments, masks, close codes, UTF-8."""

import itertools
import struct
from collections.abc import AsyncIterator, Sequence
from random import Random

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.events import BytesMessage, CloseConnection, Pong, TextMessage

from relay.server.limits import ConnectionLimits
from tests.support.client.connection import ClientConnection
from tests.support.client.protocol import masked
from tests.support.examples import examples
from tests.support.server.echo import Echo
from tests.support.server.mutations import HANDSHAKE, mutated, replaced
from tests.support.server.stage import Server, Stage, opened, serving

EURO = "€".encode()
MASK = b"\x12\x34\x56\x78"


def frame(first: int, payload: bytes = b"", *, mask: bytes = MASK) -> bytes:
    """A client's frame of any size, really masked."""
    size = len(payload)
    if size < 126:
        length = bytes((0x80 | size,))
    elif size < 65_536:
        length = b"\xfe" + struct.pack("!H", size)
    else:
        length = b"\xff" + struct.pack("!Q", size)
    covered = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return bytes((first,)) + length + mask + covered


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(0x88, struct.pack("!H", code) + reason)


@pytest.fixture
async def client() -> AsyncIterator[ClientConnection]:
    """One whose messages come back as they were."""
    async with serving(Echo()) as server:
        client = await server.websocket()
        await client.accepted()
        yield client


async def messages(client: ClientConnection, count: int) -> list[str | bytes]:
    """So many whole messages, as the client's parser puts them together."""
    found: list[str | bytes] = []
    parts: list[str | bytes] = []
    while len(found) < count:
        event = await client.frame()
        assert isinstance(event, TextMessage | BytesMessage), event
        parts.append(event.data if isinstance(event.data, str) else bytes(event.data))
        if event.message_finished:
            found.append(type(parts[0])().join(parts))  # type: ignore[arg-type]
            parts.clear()
    return found


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 100_000])
async def test_every_payload_length_has_its_encoding(client: ClientConnection, size: int) -> None:
    body = bytes(at % 251 for at in range(size))
    await client.send(frame(0x82, body))
    assert await messages(client, 1) == [body]


@pytest.mark.parametrize("mask", [bytes(4), MASK, b"\xff\xff\xff\xff", b"\x00\xff\x00\x01"])
async def test_every_mask_is_removed(client: ClientConnection, mask: bytes) -> None:
    await client.send(frame(0x81, b"hello, " + EURO, mask=mask))
    assert await messages(client, 1) == ["hello, €"]


FRAGMENTS: dict[str, tuple[list[bytes], list[str | bytes]]] = {
    "two": ([frame(0x01, b"he"), frame(0x80, b"llo")], ["hello"]),
    "many": ([frame(0x02, b"a"), *[frame(0x00, b"b")] * 50, frame(0x80, b"c")],
             [b"a" + b"b" * 50 + b"c"]),
    "empty ones": ([frame(0x01), frame(0x00), frame(0x80, b"x")], ["x"]),
    "all empty": ([frame(0x01), frame(0x80)], [""]),
    "a character over two": ([frame(0x01, EURO[:1]), frame(0x80, EURO[1:])], ["€"]),
    "a character over three": (
        [frame(0x01, EURO[:1]), frame(0x00, EURO[1:2]), frame(0x80, EURO[2:])], ["€"]
    ),
    "one message behind another": (
        [frame(0x01, b"a"), frame(0x80, b"b"), frame(0x82, b"c")], ["ab", b"c"]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FRAGMENTS)
@pytest.mark.parametrize("bytewise", [False, True])
async def test_fragments_become_one_message(
    client: ClientConnection, name: str, bytewise: bool
) -> None:
    frames, expected = FRAGMENTS[name]
    sent = b"".join(frames)
    for at in range(0, len(sent), 1 if bytewise else len(sent)):
        await client.send(sent[at : at + 1] if bytewise else sent)
        await trio.lowlevel.checkpoint()
    assert await messages(client, len(expected)) == expected


async def test_control_frames_stand_between_fragments(client: ClientConnection) -> None:
    await client.send(frame(0x01, b"he") + frame(0x89, b"there?") + frame(0x8A, b"unasked"))
    assert await client.frame() == Pong(b"there?")
    await client.send(frame(0x80, b"llo"))
    assert await messages(client, 1) == ["hello"]


@pytest.mark.parametrize("payload", [b"", b"x" * 125])
async def test_a_pong_echoes_the_pings_payload(client: ClientConnection, payload: bytes) -> None:
    await client.send(frame(0x89, payload))
    assert await client.frame() == Pong(payload)


BROKEN = {
    "fragments of two messages": (frame(0x01, b"a") + frame(0x81, b"b"), 1002),
    "a binary inside a text": (frame(0x01, b"a") + frame(0x82, b"b"), 1002),
    "a continuation of nothing": (frame(0x80, b"a"), 1002),
    "a continuation behind the end": (frame(0x81, b"a") + frame(0x80, b"b"), 1002),
    "a close in fragments": (frame(0x08), 1002),
    "a ping of 126 bytes": (frame(0x89, bytes(126)), 1002),
    "a close of 126 bytes": (frame(0x88, b"\x03\xe8" + bytes(124)), 1002),
    "an opcode for messages": (frame(0x87), 1002),
    "an opcode for control": (frame(0x8B), 1002),
    "reserved bit one": (frame(0xC1), 1002),
    "reserved bit two": (frame(0xA1), 1002),
    "reserved bit three": (frame(0x91), 1002),
    "not masked": (b"\x81\x01a", 1002),
    "a length of two bytes for one": (b"\x82\xfe\x00\x01" + MASK + b"a", 1002),
    "a length of eight bytes for two": (b"\x82\xff" + bytes(6) + b"\x00\x7f" + MASK, 1002),
    "a length of 2 to the 63": (b"\x82\xff\x80" + bytes(7) + MASK, 1002),
    "text that is not UTF-8": (frame(0x81, b"\xff"), 1007),
    "half a character at the end": (frame(0x81, EURO[:2]), 1007),
    "half a character at the last fragment": (frame(0x01, EURO[:1]) + frame(0x80, EURO[1:2]), 1007),
    "a surrogate": (frame(0x81, b"\xed\xa0\x80"), 1007),
    "an overlong slash": (frame(0x81, b"\xc0\xaf"), 1007),
    "beyond the last character": (frame(0x81, b"\xf4\x90\x80\x80"), 1007),
    "a reason that is not UTF-8": (close(1000, b"\xff"), 1007),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_protocol_violation_ends_with_its_close_code(
    client: ClientConnection, name: str
) -> None:
    sent, code = BROKEN[name]
    # the payload of a length never comes: it is judged by its header
    await client.send(sent)
    assert await client.close_code() == code
    assert await client.rest() == b""


FAIR = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999]
UNFAIR = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535]


@pytest.mark.parametrize("code", FAIR)
async def test_a_close_is_answered_with_its_code(code: int) -> None:
    echo = Echo()
    async with serving(echo) as server:
        client = await server.websocket()
        await client.accepted()
        await client.send(close(code, b"bye"))
        assert await client.close_code() == code
        assert await client.rest() == b""
        await server.observer.until(lambda: server.observer.live == 0)
    assert echo.heard[0][-1] == {"type": "websocket.disconnect", "code": code}


@pytest.mark.parametrize("code", UNFAIR)
async def test_a_reserved_close_code_is_an_error(client: ClientConnection, code: int) -> None:
    await client.send(close(code))
    assert await client.close_code() == 1002


async def test_a_close_without_a_code_is_answered_and_reported_as_1005() -> None:
    echo = Echo()
    async with serving(echo) as server:
        client = await server.websocket()
        await client.accepted()
        await client.send(frame(0x88))
        assert isinstance(await client.frame(), CloseConnection)
        assert await client.rest() == b""
        await server.observer.until(lambda: server.observer.live == 0)
    assert echo.heard[0][-1] == {"type": "websocket.disconnect", "code": 1005}


async def test_data_after_a_close_is_ignored() -> None:
    echo = Echo()
    async with serving(echo) as server:
        client = await server.websocket()
        await client.accepted()
        await client.send(close(1000) + frame(0x81, b"too late") + frame(0x89, b"too late"))
        assert await client.close_code() == 1000
        assert await client.rest() == b""
    assert [event["type"] for event in echo.heard[0][1:]] == ["websocket.disconnect"]


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


async def test_a_flood_of_frames_is_cut_and_others_are_served_meanwhile(stage: Stage) -> None:
    async with serving(stage, limits=ConnectionLimits(max_frames=100, close_timeout=0.2)) as server:
        client, visit = await opened(server, stage)
        await client.send(masked(0x8A, b"") * 200)
        assert await client.close_code() == 1008
        assert await visit.receive() == {"type": "websocket.disconnect", "code": 1008}
        visit.leave()


# -- any chunking, any mutation

CONVERSATION = (
    frame(0x81, "€ first".encode()) + frame(0x01, EURO[:2]) + frame(0x89, b"ping")
    + frame(0x80, EURO[2:]) + frame(0x82, bytes(200)) + frame(0x02, b"x") + frame(0x80, b"y")
    + close(4321, b"done")
)  # fmt: skip


@settings(max_examples=examples(20), deadline=None)
@given(cuts=st.lists(st.integers(1, len(HANDSHAKE + CONVERSATION) - 1), max_size=12, unique=True))
async def test_frames_are_the_same_in_any_chunking(cuts: list[int]) -> None:
    sent = HANDSHAKE + CONVERSATION
    edges = [0, *sorted(cuts), len(sent)]
    pieces = [sent[at:end] for at, end in itertools.pairwise(edges)]
    assert await _heard(pieces) == await _heard([sent])


async def _heard(pieces: Sequence[bytes]) -> list[dict[str, object]]:
    echo = Echo()
    async with serving(echo) as server:
        client = await server.connect()
        for piece in pieces:
            await client.send(piece)
            await trio.testing.wait_all_tasks_blocked()
        await client.rest()
    (heard,) = echo.heard
    assert heard[-1] == {"type": "websocket.disconnect", "code": 4321}
    return heard


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.soak)])
async def test_mutated_frames_harm_no_other_connection(count: int) -> None:
    random = Random(6455)
    limits = ConnectionLimits(close_timeout=0.2, send_timeout=1)
    async with serving(Echo(), limits=limits, errorlog=None) as server:

        async def speak(sent: bytes) -> None:
            client = ClientConnection(await trio.open_tcp_stream("127.0.0.1", server.port))
            async with client.stream:
                try:
                    await client.send(HANDSHAKE + sent)
                    await client.stream.send_eof()
                except trio.BrokenResourceError:
                    return
                await client.rest()

        for _ in range(0, count, 50):
            async with trio.open_nursery() as nursery:
                for _ in range(50):
                    nursery.start_soon(speak, mutated(CONVERSATION, random))
        await server.observer.until(lambda: server.observer.live == 0)
    assert server.observer.application_failures == []
