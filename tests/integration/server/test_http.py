"""HTTP: every request gets a response, every connection ends."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
import trio.testing
from quart import Response
from quart_trio import QuartTrio

from relay.server.connections import SWEEP_BATCH_SIZE
from tests.support.server.echo import quart_echo
from tests.support.server.stage import Recorder, Server, Stage, get, serving


def problem(answer: bytes) -> dict[str, object]:
    """The problem document of a raw response, which must be complete and the last one."""
    head, _, body = answer.partition(b"\r\n\r\n")
    headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"connection"] == b"close"
    assert int(headers[b"content-length"]) == len(body)
    document: dict[str, Any] = json.loads(body)
    assert document["request_id"] == headers[b"x-request-id"].decode()
    assert answer.startswith(b"HTTP/1.1 %d " % document["status"])
    return document


@pytest.fixture
def quart() -> QuartTrio:
    return quart_echo()


async def test_connection_close_is_obeyed_under_quart_trio(quart: QuartTrio) -> None:
    async with serving(quart) as server:
        answer = await server.ask(get("/", "Connection: close"))
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b"ok")
        await server.observer.until(lambda: server.observer.live == 0)


async def test_an_idle_connection_ends_on_time_under_quart_trio(
    quart: QuartTrio, mock_clock: trio.testing.MockClock
) -> None:
    async with serving(quart, keep_alive_timeout=15) as server:
        client = await server.connect()
        await client.send(get("/") + get("/"))
        assert [(await client.response())[1] for _ in range(2)] == [b"ok", b"ok"]
        await pass_by(mock_clock, 14)
        assert server.observer.live == 1
        mock_clock.jump(2)
        assert await client.rest() == b""
        await server.observer.until(lambda: server.observer.live == 0)


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_silence_and_slow_headers_end_on_time(
    stage: Stage, sent: bytes, mock_clock: trio.testing.MockClock
) -> None:
    async with serving(stage, keep_alive_timeout=15) as server:
        client = await server.connect()
        await client.send(sent)
        await server.observer.until(lambda: server.observer.live == 1)
        await pass_by(mock_clock, 14)
        assert server.observer.live == 1
        mock_clock.jump(2)
        assert await client.rest() == b""


async def test_headers_that_go_on_and_on_get_no_more_time(
    stage: Stage, mock_clock: trio.testing.MockClock
) -> None:
    async with serving(stage, keep_alive_timeout=15) as server:
        client = await server.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        await server.observer.until(lambda: server.observer.live == 1)
        for _ in range(14):
            await client.send(b"x")
            await pass_by(mock_clock, 1)
        assert server.observer.live == 1
        mock_clock.jump(2)
        assert await client.rest() == b""


async def test_idle_connections_are_ended_a_few_at_a_time(
    stage: Stage, mock_clock: trio.testing.MockClock
) -> None:
    async with serving(stage, keep_alive_timeout=15) as server:
        for _ in range(3 * SWEEP_BATCH_SIZE):
            await server.connect()
        await server.observer.until(lambda: server.observer.live == 3 * SWEEP_BATCH_SIZE)
        turns = Turns(server.observer)
        trio.lowlevel.add_instrument(turns)
        mock_clock.jump(16)
        await server.observer.until(lambda: server.observer.live == 0)
        trio.lowlevel.remove_instrument(turns)
        assert turns.most <= SWEEP_BATCH_SIZE


class Turns(trio.abc.Instrument):
    """The most connections that were closed between two looks at the sockets."""

    def __init__(self, observer: Recorder) -> None:
        self._observer = observer
        self._before = observer.closed
        self.most = 0

    def before_io_wait(self, timeout: float) -> None:
        self.most = max(self.most, self._observer.closed - self._before)
        self._before = self._observer.closed


async def pass_by(clock: trio.testing.MockClock, seconds: float) -> None:
    """Let time pass, and let everybody do what they do then."""
    await trio.testing.wait_all_tasks_blocked()
    clock.jump(seconds)
    await trio.testing.wait_all_tasks_blocked()


async def test_no_timeout_ends_a_silent_stream(
    stage: Stage, mock_clock: trio.testing.MockClock
) -> None:
    async with serving(stage, keep_alive_timeout=1, read_timeout=1) as server:
        client = await server.connect()
        await client.send(get())
        visit = await stage.visit()
        await visit.start()
        for _ in range(4):
            await pass_by(mock_clock, 1)
        await visit.body(b"still here")
        visit.leave()
        assert (await client.response())[1] == b"still here"


async def test_pipelined_requests_are_answered_in_order(server: Server, stage: Stage) -> None:
    client = await server.connect()
    await client.send(get("/one") + get("/two") + get("/three"))
    for path in ("/one", "/two", "/three"):
        visit = await stage.visit()
        assert visit.scope["path"] == path
        await visit.respond(path.encode())
        visit.leave()
    assert [(await client.response())[1] for _ in range(3)] == [b"/one", b"/two", b"/three"]


async def test_http_1_0_is_answered_and_closed(server: Server, stage: Stage) -> None:
    client = await server.connect()
    await client.send(get(version="1.0"))
    visit = await stage.visit()
    await visit.start()
    await visit.body(b"raw ", more=True)
    await visit.body(b"bytes")
    visit.leave()
    answer = await client.rest()
    assert answer.endswith(b"\r\n\r\nraw bytes")
    assert b"chunked" not in answer


async def test_expect_100_continue_is_answered_before_the_body(quart: QuartTrio) -> None:
    async with serving(quart) as server:
        client = await server.connect()
        head = "POST /echo HTTP/1.1\r\nHost: relay\r\nContent-Length: 4\r\n"
        await client.send(head.encode() + b"Expect: 100-continue\r\nConnection: close\r\n\r\n")
        interim = await client.exactly(12)
        assert interim == b"HTTP/1.1 100"
        await client.send(b"body")
        assert (await client.rest()).endswith(b"\r\n\r\nbody")


async def test_h2c_is_never_switched_to(server: Server, stage: Stage) -> None:
    client = await server.connect()
    upgrade = get("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA")
    await client.send(upgrade)
    visit = await stage.visit()
    assert visit.scope["http_version"] == "1.1"
    await visit.respond(b"plain")
    visit.leave()
    assert (await client.response())[1] == b"plain"
    await client.send(get())  # and the connection goes on
    visit = await stage.visit()
    await visit.respond()
    visit.leave()
    assert (await client.response())[1] == b"ok"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (get(version="2.0"), 505),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (get("/", "Host: caf\xe9").replace(b"Host: relay\r\n", b""), 400),
        (get("/", "Transfer-Encoding: gzip"), 501),
        (get("/", "Content-Length: -1"), 400),
        (get("/" + "a" * 9_000), 414),
        (get("/", "X: " + "a" * 20_000), 431),
        (get("/", *(f"X-{n}: {'a' * 1_000}" for n in range(50))), 431),
        (get("?no-path"), 400),
        (get("ftp://relay/"), 400),
        (b"CONNECT relay:443 HTTP/1.1\r\nHost: relay\r\n\r\n", 400),
    ],
)
async def test_an_unservable_request_is_refused_with_a_problem(
    server: Server, sent: bytes, status: int
) -> None:
    assert problem(await server.ask(sent))["status"] == status
    assert server.observer.refusals == [status]


async def test_an_absolute_address_is_understood(server: Server, stage: Stage) -> None:
    client = await server.connect()
    await client.send(get("http://relay/path?query"))
    visit = await stage.visit()
    assert (visit.scope["path"], visit.scope["query_string"]) == ("/path", b"query")
    await visit.respond()
    visit.leave()


async def test_a_foreign_host_is_not_found_and_a_malformed_one_refused(stage: Stage) -> None:
    async with serving(stage, server_names=["relay"]) as server:
        assert problem(await server.ask(get("/", version="1.0").replace(b"relay", b"other")))
        broken = get().replace(b"relay", b"\xff\xfe")
        assert problem(await server.ask(broken))["status"] == 400
        assert server.observer.refusals == [404, 400]


async def test_a_body_that_breaks_off_its_framing_is_a_400(server: Server, stage: Stage) -> None:
    client = await server.connect()
    await client.send(
        b"POST / HTTP/1.1\r\nHost: relay\r\nTransfer-Encoding: chunked\r\n\r\nnope\r\n"
    )
    visit = await stage.visit()
    assert (await visit.receive())["type"] == "http.disconnect"
    visit.leave()
    assert problem(await client.rest())["status"] == 400


@pytest.mark.parametrize("length", [0, 4])
async def test_a_pending_receive_gets_http_disconnect_when_the_response_ends(
    server: Server, stage: Stage, length: int
) -> None:
    client = await server.connect()
    await client.send(get("/", f"Content-Length: {length}"))
    visit = await stage.visit()
    if not length:
        assert (await visit.receive())["type"] == "http.request"
    heard = []

    async def wait() -> None:
        heard.append(await visit.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        await visit.respond()
    assert heard == [{"type": "http.disconnect"}]
    visit.leave()
    assert (await client.response())[1] == b"ok"


async def test_a_client_that_disconnects_within_its_body_harms_no_other(
    server: Server, stage: Stage
) -> None:
    client = await server.connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: relay\r\nContent-Length: 4\r\n\r\nbo")
    visit = await stage.visit()
    assert (await visit.receive())["body"] == b"bo"
    await client.stream.aclose()
    assert (await visit.receive())["type"] == "http.disconnect"
    visit.leave()
    await server.observer.until(lambda: server.observer.live == 0)
    assert 500 not in server.observer.refusals


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_application_error_before_the_response_is_a_500(method: str) -> None:
    async def dies(scope: object, receive: object, send: object) -> None:
        raise LookupError("secret")

    async with serving(dies) as server:
        answer = await server.ask(get().replace(b"GET", method.encode()))
        if method == "GET":
            assert problem(answer)["code"] == "internal_error"
        else:
            assert answer.startswith(b"HTTP/1.1 500 ")
            assert answer.endswith(b"\r\n\r\n")
        assert b"secret" not in answer
        assert server.observer.application_failures


async def test_an_application_error_within_the_response_truncates_it() -> None:
    async def dies(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise LookupError

    async with serving(dies) as server:
        answer = await server.ask(get())
        assert answer.endswith(b"half\r\n")  # and no final chunk


async def test_a_response_reaches_a_client_with_an_unread_body(
    server: Server, stage: Stage
) -> None:
    client = await server.connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: relay\r\nContent-Length: 200000\r\n\r\n")
    visit = await stage.visit()
    await client.send(bytes(100_000))
    await visit.respond(b"too long; did not read")
    visit.leave()
    await client.send(bytes(100_000))
    assert (await client.rest()).endswith(b"did not read")


async def test_a_disconnect_ends_a_quart_stream_at_once() -> None:
    ended = trio.Event()
    app = QuartTrio(__name__)

    @app.get("/")
    async def events() -> Response:
        async def body() -> AsyncIterator[bytes]:
            try:
                yield b"data: first\n\n"
                await trio.sleep_forever()
            finally:
                ended.set()

        response = Response(body(), content_type="text/event-stream")
        response.timeout = None
        return response

    async with serving(app) as server:
        client = await server.connect()
        await client.send(get())
        while b"first" not in await client.stream.receive_some():
            pass
        await client.stream.aclose()
        await ended.wait()
        await server.observer.until(lambda: server.observer.live == 0)


async def test_a_pipelined_request_behind_a_stream_leaks_nothing(
    server: Server, stage: Stage
) -> None:
    client = await server.connect()
    await client.send(get("/stream") + get("/behind"))
    visit = await stage.visit()
    await visit.start()
    await client.stream.aclose()

    async def heartbeat() -> None:
        while True:  # the next write notices, for reading has stopped at the request behind
            await visit.body(b"data: heartbeat\n\n", more=True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(heartbeat)
        while (await visit.receive())["type"] != "http.disconnect":
            pass
        nursery.cancel_scope.cancel()
    visit.leave()
    await server.observer.until(lambda: server.observer.live == 0)
