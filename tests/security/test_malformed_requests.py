"""No bytes end the server: known killers, odd requests, random mutations."""

from functools import partial
from random import Random

import pytest
import trio
import trio.testing
from quart_trio import QuartTrio

from tests.support.client.connection import ClientConnection
from tests.support.client.protocol import masked
from tests.support.server.echo import quart_echo
from tests.support.server.mutations import CHUNKED, HANDSHAKE, POST, mutated, replaced
from tests.support.server.stage import Server, get, serving

SEED = 6455
MUTATIONS = 3_000  # about ten seconds on a slow core
AT_ONCE = 50

FRAMES = masked(0x01, b"he") + masked(0x89, b"ping") + masked(0x80, b"llo") + masked(0x82, b"\x00")


KILLERS = {
    "protocol not ascii": replaced(b"relay.v1", b"relay.\xff"),
    "extensions not ascii": replaced(b"permessage", b"perm\xe9ssage"),
    "connection not ascii": replaced(b"Connection: Upgrade", b"Connection: Upgrade, \xfc"),
    "host not ascii": replaced(b"Host: relay", b"Host: \xff\xfe"),
    "key not ascii": replaced(b"dGhlIHNh", b"\xff\xff"),
    "version not ascii": replaced(b"Version: 13", b"Version: \xb9\xb3"),
    "no key": replaced(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""),
    "no version": replaced(b"Sec-WebSocket-Version: 13\r\n", b""),
    "old version": replaced(b"Version: 13", b"Version: 8"),
    "no upgrade": replaced(b"Upgrade: websocket\r\n", b""),
    "another upgrade": replaced(b"Upgrade: websocket", b"Upgrade: h2c, websocket"),
    "no connection": replaced(b"Connection: Upgrade\r\n", b""),
    "two connections": replaced(b"Connection: Upgrade", b"Connection: Upgrade\r\nConnection: x"),
    "http/1.0": replaced(b"HTTP/1.1", b"HTTP/1.0"),
    "post": replaced(b"GET", b"POST"),
    "head": replaced(b"GET", b"HEAD"),
    "a body": replaced(b"Host: relay", b"Host: relay\r\nContent-Length: 4") + b"body",
    "a chunked body": replaced(b"Host: relay", b"Host: relay\r\nTransfer-Encoding: chunked"),
    "expects": replaced(b"Host: relay", b"Host: relay\r\nExpect: 100-continue"),
    "an early frame": HANDSHAKE + FRAMES,
    "an early byte": HANDSHAKE + b"x",
    "a request behind": HANDSHAKE + get(),
    "early to a refusal": replaced(b"/ws", b"/nowhere") + FRAMES,
    "a preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(100),
    "h2c": get("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: A"),
    "h2c with more": get("/", "Connection: Upgrade", "Upgrade: h2c") + b"PRI * HTTP/2.0\r\n\r\n",
    "tls": bytes.fromhex("16030100c8010000c40303") + bytes(range(256)),
    "nothing but nul": bytes(1_000),
    "nothing but newlines": b"\r\n" * 1_000,
    "a lone bracket": get("http://["),
    "no path": get("?"),
    "a star": get("*"),
    "options star": get("*").replace(b"GET", b"OPTIONS"),
    "bad escapes": get("/%ff%zz%00%"),
    "two lengths": POST.replace(b"Host", b"Content-Length: 5\r\nHost"),
    "length and chunks": CHUNKED.replace(b"Host", b"Content-Length: 4\r\nHost"),
    "a huge length": POST.replace(b": 4", b": 99999999999999999999"),
    "a bad chunk": CHUNKED.replace(b"\r\n4\r\n", b"\r\n-4\r\n"),
    "a huge chunk": CHUNKED.replace(b"\r\n4\r\n", b"\r\nfffffffffffffffff\r\n"),
    "folded headers": get("/", "X: a\r\n b"),
    "a bare newline": get().replace(b"\r\n", b"\n"),
    "empty name": get("/", ": value"),
    "endless name": b"GET / HTTP/1.1\r\n" + b"a" * 100_000,
    "endless target": b"GET /" + b"a" * 100_000,
    "endless frame": HANDSHAKE + b"\x82\xff" + b"\x7f" + b"\xff" * 7 + bytes(10_000),
    "a frame of length 2^63": HANDSHAKE + b"\x82\xff" + b"\xff" * 8,
    "half a frame": HANDSHAKE + b"\x82",
    "not masked": HANDSHAKE + b"\x82\x01x",
    "reserved bits": HANDSHAKE + masked(0xF2, b"x"),
    "unknown opcode": HANDSHAKE + masked(0x8F, b"x"),
    "long control": HANDSHAKE + b"\x89\xfe\x00\x7e" + bytes(130),
    "empty close": HANDSHAKE + masked(0x88, b""),
    "close of one byte": HANDSHAKE + masked(0x88, b"\x03"),
    "close 1006": HANDSHAKE + masked(0x88, b"\x03\xee"),
    "close 65535": HANDSHAKE + masked(0x88, b"\xff\xff"),
    "close not utf-8": HANDSHAKE + masked(0x88, b"\x03\xe8\xff"),
    "close twice": HANDSHAKE + masked(0x88, b"\x03\xe8") * 2,
    "frames behind a close": HANDSHAKE + masked(0x88, b"\x03\xe8") + FRAMES,
    "text not utf-8": HANDSHAKE + masked(0x81, b"\xc3\x28"),
    "a surrogate": HANDSHAKE + masked(0x81, b"\xed\xa0\x80"),
    "half a character": HANDSHAKE + masked(0x01, b"\xe2\x82") + masked(0x80, b""),
    "text in binary": HANDSHAKE + masked(0x01, b"x") + masked(0x82, b"x"),
    "continuation of nothing": HANDSHAKE + masked(0x80, b"x"),
    "many empty fragments": HANDSHAKE + masked(0x01, b"") + masked(0x00, b"") * 5_000,
    "many pings": HANDSHAKE + masked(0x89, b"x" * 125) * 500,
    "fragmented ping": HANDSHAKE + masked(0x09, b"x"),
    "post with a websocket behind": POST + HANDSHAKE + FRAMES,
    "many requests": get("/") * 200,
    "a request and rubbish": get("/") + b"\x00\xff" * 100,
}


@pytest.fixture
def app() -> QuartTrio:
    return quart_echo()


async def probe(server: Server, sent: bytes, *, half_close: bool = True) -> None:
    """Say something and hang up, whatever is answered."""
    client = ClientConnection(await trio.open_tcp_stream("127.0.0.1", server.port))
    async with client.stream:
        try:
            await client.send(sent)
            if half_close:
                await client.stream.send_eof()
        except trio.BrokenResourceError:
            pass  # it was refused before it had finished
        await client.rest()


async def assert_well(server: Server, name: str) -> None:
    answer = await server.ask(get("/", "Connection: close"))
    assert (name, server.observer.failures, answer[-2:]) == (name, [], b"ok")


def test_the_probes_are_as_many_as_documented() -> None:
    assert len(KILLERS) >= 68


@pytest.mark.parametrize("half_close", [True, False])
async def test_no_known_killer_ends_the_server(app: QuartTrio, half_close: bool) -> None:
    async with serving(app, errorlog=None) as server:
        for name, sent in KILLERS.items():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(probe, server, sent, half_close=half_close))
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()  # some are no request yet, and wait for more
            await assert_well(server, name)


async def test_no_random_mutation_ends_the_server(app: QuartTrio) -> None:
    random = Random(SEED)
    originals = [HANDSHAKE, HANDSHAKE + FRAMES, POST, CHUNKED, get(), get() + POST, FRAMES]
    originals += KILLERS.values()
    short = [original[:2_000] for original in originals]
    sent = [mutated(random.choice(short), random) for _ in range(MUTATIONS)]
    async with serving(app, errorlog=None) as server:
        for start in range(0, MUTATIONS, AT_ONCE):
            async with trio.open_nursery() as nursery:
                for one in sent[start : start + AT_ONCE]:
                    nursery.start_soon(probe, server, one)
        await assert_well(server, "mutations")
        await server.observer.until(lambda: server.observer.live == 0)
