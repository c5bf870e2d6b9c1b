"""Frames by RFC 6455: lengths, masks, fragments, control frames, and violations of each."""

import pytest
import trio
from wsproto.events import Pong

from tests.support.client.connection import ClientConnection
from tests.support.server.client_frames import EURO, MASK, close, frame, messages


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
