"""HTTP by strangers who mean it, on a Relay in a process of its own."""

from functools import partial

import pytest
import trio

from tests.faults.ledger import Account
from tests.raw import head
from tests.security.strangers import (
    BODY_TIMEOUT,
    KEEP_ALIVE,
    MIB,
    Attacked,
    crowd,
    dialled,
    for_ever,
    heard,
    highest,
    said,
    unharmed,
)

CROWD = 200  # strangers at one time
LATE = 10.0  # seconds after a deadline that a loaded machine may need

JSON = "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"
CLOSE = "Connection: close"


async def test_headers_that_drip_end_on_time_however_long_they_drip(attacked: Attacked) -> None:
    took: list[float] = []

    async def drip() -> None:
        async with dialled(attacked.port) as tcp:
            started = trio.current_time()
            await tcp.send_all(b"GET / HTTP/1.1\r\nHost: relay\r\nX-Slow: ")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(for_ever, tcp, b"x", 0.1)
                assert await heard(tcp) == b""
                nursery.cancel_scope.cancel()
            took.append(trio.current_time() - started)

    async with unharmed(attacked):
        await crowd(CROWD, drip)
    assert len(took) == CROWD
    assert KEEP_ALIVE - 0.5 < min(took) <= max(took) < KEEP_ALIVE + LATE


@pytest.mark.parametrize("length", ["Content-Length: 100000", CHUNKED])
async def test_bodies_that_drip_are_given_up_with_408(
    attacked: Attacked, victim: Account, length: str
) -> None:
    answers: list[bytes] = []
    asked = head("/api/webhook/cli", f"Authorization: Bearer {victim.hook}", JSON, length)
    piece = b"1\r\n \r\n" if length == CHUNKED else b" "

    async def drip() -> None:
        async with dialled(attacked.port) as tcp:
            await tcp.send_all(asked)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(for_ever, tcp, piece, 0.1)
                answers.append(await heard(tcp))
                nursery.cancel_scope.cancel()

    async with unharmed(attacked):
        started = trio.current_time()
        await crowd(CROWD, drip)
        assert trio.current_time() - started < BODY_TIMEOUT + 2 * LATE
    assert {answer[:13] for answer in answers} == {b"HTTP/1.1 408 "}
    assert all(b'"code":"request_timeout"' in answer for answer in answers)


ENDLESS = {
    "where one belongs": ("POST", "/api/webhook/cli", 413),
    "where a small one belongs": ("POST", "/api/token", 413),
    "where none does": ("GET", "/api/me", 200),
    "for nobody": ("POST", "/nowhere", 404),
    "for the wrong method": ("PUT", "/healthz", 405),
}


@pytest.mark.parametrize("where", ENDLESS)
async def test_a_body_without_end_is_read_no_further_than_needed(
    attacked: Attacked, victim: Account, where: str
) -> None:
    method, path, status = ENDLESS[where]
    token = victim.hook if "webhook" in path else victim.session
    fixed = (f"Authorization: Bearer {token}", JSON, CHUNKED)
    chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"

    async def shout() -> None:
        async with dialled(attacked.port) as tcp:
            await tcp.send_all(head(path, *fixed, method=method))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(for_ever, tcp, chunk)
                answer = await heard(tcp)
                nursery.cancel_scope.cancel()
            assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]
            assert b"connection: close" in answer.lower()

    async with unharmed(attacked), highest(attacked.memory) as memory:
        was = attacked.memory()
        await crowd(20, shout)
        assert memory() - was < 20 * MIB


async def test_a_body_without_end_behind_a_stream_costs_no_memory(
    attacked: Attacked, victim: Account
) -> None:
    asked = head("/api/sse", f"Authorization: Bearer {victim.session}", CHUNKED, method="GET")
    async with unharmed(attacked), dialled(attacked.port) as tcp, trio.open_nursery() as nursery:
        was = attacked.memory()
        await tcp.send_all(asked)
        nursery.start_soon(for_ever, tcp, b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
        async with highest(attacked.memory) as memory:
            await trio.sleep(0.5)
            assert memory() - was < 8 * MIB
        nursery.cancel_scope.cancel()


BOMBS = {
    "one header": (b"GET / HTTP/1.1\r\nHost: relay\r\nX: " + b"x" * 500_000,),
    "many headers": (b"GET / HTTP/1.1\r\nHost: relay\r\n" + b"a:\r\n" * 100_000,),
    "many headers in pieces": (b"GET / HTTP/1.1\r\nHost: relay\r\n", *[b"a:\r\n" * 500] * 20),
    "an address": (b"GET /" + b"a" * 500_000,),
    "a query": (b"GET /api/events?" + b"a=b&" * 100_000,),
    "cookies": (head("/api/me", "Cookie: " + "a=b; " * 3_000, CLOSE, method="GET"),),
    "newlines": (b"\r\n" * 100_000,),
    "trailers": (head("/healthz", CHUNKED, method="GET") + b"0\r\n" + b"a:\r\n" * 100_000,),
    "tiny chunks": (head("/nowhere", CHUNKED, CLOSE) + b"1\r\nx\r\n" * 100_000,),
    "chunk extensions": (head("/nowhere", CHUNKED) + b"1;" + b"x" * 500_000,),
    "a pipeline": (head("/nowhere", method="GET") * 500 + head("/nowhere", CLOSE),),
    "forwarded": (head("/", "X-Forwarded-For: " + "1.1.1.1," * 1_900, CLOSE, method="GET"),),
    "languages": (head("/", "Accept: " + "a/b;q=0.1," * 1_500, CLOSE, method="GET"),),
    "ranges": (head("/console/relay.css", "Range: bytes=" + "0-," * 5_000, CLOSE, method="GET"),),
    "etags": (head("/", "If-None-Match: " + '"a",' * 3_900, CLOSE, method="GET"),),
    "subprotocols": (
        head(
            "/api/rt",
            *("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Protocol: " + "a," * 7_000,
            method="GET",
        ),
    ),
}


@pytest.mark.parametrize("bomb", BOMBS)
async def test_a_bomb_in_the_head_holds_nobody_up(attacked: Attacked, bomb: str) -> None:
    async with unharmed(attacked), trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(partial(said, attacked.port, *BOMBS[bomb]))
