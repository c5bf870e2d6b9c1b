"""Attacks: each coroutine is one attacker, from the first byte to the end.

`python -m bench.attacks` measures what the same ones cost others.
"""

import random

import trio

from tests.support.accounts import Account
from tests.support.attackers import dialled, for_ever
from tests.support.client.protocol import HANDSHAKE, head, masked

JSON = "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"
CLOSE = "Connection: close"
COMPRESSED = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
ASKING = [f"{name}: {value}" for name, value in HANDSHAKE.items()]
FIN_CLOSE = 0x88
# what a Relay that stood still for seconds says, until it has looked for its database again
AWAY = b"HTTP/1.1 503 "
CHUNK = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"

HALVES = {
    "nothing": b"",
    "half a request": b"GET /api/me HTTP/1.1\r\nHost: rel",
    "half a handshake": head("/api/rt", *ASKING, method="GET")[:-20],
    "half a body": head("/api/webhook/cli", "Content-Length: 100000") + b"{",
}

# -- bodies

ENDLESS = {
    "where one belongs": ("POST", "/api/webhook/cli", 413),
    "where a small one belongs": ("POST", "/api/token", 413),
    "where none does": ("GET", "/api/me", 200),
    "for nobody": ("POST", "/nowhere", 404),
    "for the wrong method": ("PUT", "/healthz", 405),
}


async def shout(port: int, account: Account, where: str) -> bytes:
    """A body without end, until it is answered; the answer."""
    method, path, _ = ENDLESS[where]
    token = account.hook if "webhook" in path else account.session
    async with dialled(port) as tcp, trio.open_nursery() as nursery:
        await tcp.send(head(path, f"Authorization: Bearer {token}", JSON, CHUNKED, method=method))
        nursery.start_soon(for_ever, tcp, CHUNK)
        answer = await tcp.rest()
        nursery.cancel_scope.cancel()
    return await shout(port, account, where) if answer.startswith(AWAY) else answer


# -- heads

BOMBS = {
    "one header": (b"GET / HTTP/1.1\r\nHost: relay\r\nX: " + b"x" * 500_000,),
    "many headers": (b"GET / HTTP/1.1\r\nHost: relay\r\n" + b"a:\r\n" * 100_000,),
    "many headers in pieces": (b"GET / HTTP/1.1\r\nHost: relay\r\n", *[b"a:\r\n" * 500] * 20),
    "an address": (b"GET /" + b"a" * 500_000,),
    "a query": (b"GET /api/events?" + b"a=b&" * 100_000,),
    "cookies": (head("/api/me", "Cookie: " + "a=b; " * 3_000, CLOSE, method="GET"),),
    "newlines": (b"\r\n" * 100_000 + head("/nowhere", CLOSE),),
    "trailers": (head("/healthz", CHUNKED, method="GET") + b"0\r\n" + b"a:\r\n" * 100_000,),
    "tiny chunks": (head("/nowhere", CHUNKED, CLOSE) + b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n",),
    "chunk extensions": (head("/nowhere", CHUNKED) + b"1;" + b"x" * 500_000,),
    "a pipeline": (head("/nowhere", method="GET") * 500 + head("/nowhere", CLOSE),),
    "forwarded": (head("/", "X-Forwarded-For: " + "1.1.1.1," * 1_900, CLOSE, method="GET"),),
    "languages": (head("/", "Accept: " + "a/b;q=0.1," * 1_500, CLOSE, method="GET"),),
    "ranges": (head("/console/relay.css", "Range: bytes=" + "0-," * 5_000, CLOSE, method="GET"),),
    "etags": (head("/", "If-None-Match: " + '"a",' * 3_900, CLOSE, method="GET"),),
    "subprotocols": (
        head("/api/rt", *ASKING, "Sec-WebSocket-Protocol: " + "a," * 7_000, method="GET"),
    ),
}

# -- frames


def handshake(account: Account, *more: str) -> bytes:
    return head("/api/rt", *ASKING, f"Authorization: Bearer {account.session}", *more, method="GET")


def close_code(received: bytes) -> int:
    """The code of the close frame, which is the last thing that was heard."""
    at = received.rindex(b"\x88", 0, -2)
    while received[at + 1] != len(received) - at - 2:  # a byte of the frame's own payload
        at = received.rindex(b"\x88", 0, at)
    return int.from_bytes(received[at + 2 : at + 4], "big")


ENDINGS = {
    "fragments without end": (masked(0x01, b"x" * 4000), masked(0x00, b"x" * 4000), 1009),
    "a frame without end": (b"\x82\xff" + (2**62).to_bytes(8, "big") + bytes(4), b"x" * 4096, 1009),
    "a frame over the limit": (masked(0x81, b"x" * 200_000), b"", 1009),
    "messages without end": (masked(0x81, b"x"), masked(0x81, b"x"), 4429),
    "empty messages": (masked(0x82, b""), masked(0x82, b""), 4429),
    "text that is none": (masked(0x81, b"\xff\xfe"), b"", 1007),
    "half a character for ever": (masked(0x01, b"\xe2\x82"), masked(0x00, b"\xe2"), 1007),
    "a length that cannot be": (b"\x82\xff" + b"\xff" * 8, b"", 1002),
    "a bomb though nothing was agreed on": (masked(0xC1, bytes(117)), b"", 1002),
    "rubbish": (random.Random(7).randbytes(5_000), b"", 1002),
}


async def talk(port: int, account: Account, ending: str) -> int:
    """Frames that may not be, until the end; the code it ends with."""
    first, then, _ = ENDINGS[ending]
    async with dialled(port) as tcp, trio.open_nursery() as nursery:
        await tcp.send(handshake(account, COMPRESSED) + first)
        if then:
            nursery.start_soon(for_ever, tcp, then)
        received = await tcp.rest()
        nursery.cancel_scope.cancel()
    if received.startswith(AWAY):
        return await talk(port, account, ending)
    return close_code(received)


FLOODS = {
    "pings": masked(0x89, b"x" * 125),
    "empty pings": masked(0x89, b""),
    "pongs": masked(0x8A, b""),
    "empty fragments": masked(0x00, b""),
}


async def pour(port: int, account: Account, flood: str, *, listens: bool) -> None:
    """Frames that cost their sender nothing, until the connection is cut."""
    async with dialled(port) as tcp, trio.open_nursery() as nursery:
        await tcp.send(handshake(account) + masked(0x01, b""))
        if listens:
            nursery.start_soon(for_ever, tcp, FLOODS[flood] * 1_000)
            received = await tcp.rest()
            assert received.startswith(AWAY) or close_code(received) == 1008
            nursery.cancel_scope.cancel()
        else:
            await for_ever(tcp, FLOODS[flood] * 1_000)


# -- tokens

GUESSES = 100  # of one stranger, on one connection


async def guess(port: int, account: Account, first: int) -> int:
    """Bad tokens, one behind the other; how often the answer is 401."""
    asked = [
        head("/api/me", f"Authorization: Bearer {_bad(account.session, n)}", method="GET")
        for n in range(first, first + GUESSES)
    ]
    asked.append(head("/nowhere", CLOSE, method="GET"))
    async with dialled(port) as tcp, trio.open_nursery() as nursery:
        nursery.start_soon(tcp.send, b"".join(asked))
        return (await tcp.rest()).count(b"HTTP/1.1 401 ")


def _bad(good: str, n: int) -> str:
    """Random, cut, changed in its signature, and as long as a head may be."""
    body, _, signature = good.rpartition(".")
    kinds = (f"{n}", good[: n % len(good)] + "x", f"{body}.{n:04}{signature[4:]}", "x" * 8_000)
    return kinds[n % 4 if n % 40 else 3]
