"""Writes that a socket cannot take at once."""

from tests.support.client.connection import ClientConnection
from tests.support.server.stage import Server, Stage, Visit

MUCH = 1_000_000  # bytes: more than a socket takes at once


def frame(payload: bytes) -> bytes:
    """A server's binary frame of any size."""
    return b"\x82\x7f" + len(payload).to_bytes(8, "big") + payload


async def fill(visit: Visit) -> int:
    """Write frames at once until the socket takes no more; how many it took."""
    count = 0
    while visit.handle.try_send(frame(bytes([count % 256]) * MUCH)):
        count += 1
    return count


HELLO = b"\x81\x05hello"  # a server's text frame


def chunk(payload: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(payload), payload)


async def streaming(server: Server, stage: Stage, request: bytes) -> tuple[ClientConnection, Visit]:
    client = await server.connect()
    await client.send(request)
    visit = await stage.visit()
    return client, visit
