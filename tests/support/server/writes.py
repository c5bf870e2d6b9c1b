"""Writes that a socket cannot take at once."""

from tests.support.server.stage import Visit

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
