"""A request that ends early, by its client or by an application error, harms no other."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
import trio.testing
from quart import Response
from quart_trio import QuartTrio

from tests.support.server.raw_answers import problem
from tests.support.server.stage import Server, Stage, get, serving


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


async def test_a_response_that_ends_with_its_connection_is_truncated_by_a_reset(
    either_server: Server, stage: Stage
) -> None:
    client = await either_server.connect()
    await client.send(get(version="1.0"))
    visit = await stage.visit()
    await visit.start()
    await visit.body(b"half", more=True)
    answer = b""
    while not answer.endswith(b"half"):
        answer += await client.receive()
    visit.leave()
    with pytest.raises(trio.BrokenResourceError):
        await client.receive()  # an ordinary end would be that of the body


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
