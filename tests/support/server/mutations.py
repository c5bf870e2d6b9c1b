"""Valid requests, and mutations of them."""

from random import Random

from tests.support.server.stage import get

HANDSHAKE = get(
    "/ws",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Protocol: relay.v1",
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
)

POST = b"POST /echo HTTP/1.1\r\nHost: relay\r\nContent-Length: 4\r\n\r\nbody"

CHUNKED = (
    b"POST /echo HTTP/1.1\r\nHost: relay\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"4\r\nbody\r\n0\r\n\r\n"
)


def mutated(original: bytes, random: Random) -> bytes:
    """The original with a few bytes changed, removed, repeated or put in."""
    mutant = bytearray(original)
    for _ in range(random.randint(1, 6)):
        at = random.randrange(len(mutant) + 1)
        span = slice(at, at + random.choice((1, 1, 1, 2, 8, 64)))
        kind = random.randrange(5)
        if kind == 0:
            mutant[at:at] = random.randbytes(random.choice((1, 1, 2, 8)))
        elif kind == 1:
            mutant[span] = random.randbytes(len(mutant[span]))
        elif kind == 2:
            del mutant[span]
        elif kind == 3:
            mutant[at:at] = mutant[span]
        elif mutant[span]:
            mutant[span.start] ^= 1 << random.randrange(8)
    return bytes(mutant)


def replaced(old: bytes, new: bytes) -> bytes:
    assert old in HANDSHAKE
    return HANDSHAKE.replace(old, new)
