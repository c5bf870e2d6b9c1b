"""WebSocket frames as clients send them, byte by byte, and messages as they read them."""

import struct

import trio
from wsproto.events import BytesMessage, TextMessage

from tests.support.client.connection import ClientConnection

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


CLOSE_FRAME = 0x88


async def say_on_until_cut(client: ClientConnection, event: TextMessage | BytesMessage) -> None:
    try:
        while True:
            await client.put(event)
    except trio.BrokenResourceError:
        pass
