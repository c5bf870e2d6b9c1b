"""Responses by RFC 9112: what is written, and what an application cannot make the server write."""

import os
from typing import Any

import pytest
import trio
import trio.testing

from tests.support.server.echo import Echo
from tests.support.server.rfc9112 import post
from tests.support.server.stage import Stage, get, serving


@pytest.mark.parametrize("status", [200, 201, 299, 400, 404, 500, 599])
async def test_a_body_is_counted_or_chunked(status: int) -> None:
    async with serving(Echo()) as server:
        client = await server.connect()
        for path, header in (("/", b"content-length"), ("/stream", b"transfer-encoding")):
            await client.send(
                post("Content-Length: 4", body=b"body").replace(
                    b" / ", f" {path}?{status} ".encode()
                )
            )
            response, body = await client.response(method="POST")
            assert (response.status_code, body) == (status, b"body")
            assert header in dict(response.headers)


@pytest.mark.parametrize("status", [204, 304])
async def test_responses_without_a_body_get_none(status: int) -> None:
    async with serving(Echo()) as server:
        sent = post("Content-Length: 4", body=b"body").replace(b" / ", b" /?%d " % status)
        answer = await server.ask(sent + get("/", "Connection: close"))
    head = answer.split(b"\r\n\r\n")[0]
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"transfer-encoding" not in head
    assert b"content-length" not in head or status == 304
    assert b"body" not in answer
    assert answer.count(b"HTTP/1.1 ") == 2


async def test_head_is_get_without_the_body() -> None:
    async with serving(Echo()) as server:
        sent = post("Content-Length: 4", body=b"body").replace(b"POST", b"HEAD")
        answer = await server.ask(sent + get("/", "Connection: close"))
    assert b"content-length: 4\r\n" in answer
    assert b"body" not in answer
    assert answer.count(b"HTTP/1.1 200 ") == 2


BAD_STARTS: dict[str, dict[str, Any]] = {
    "a newline in a value": {"headers": [(b"x", b"a\r\nset-cookie: b")]},
    "a newline in a name": {"headers": [(b"x: a\r\ny", b"b")]},
    "NUL in a value": {"headers": [(b"x", b"a\0")]},
    "an empty name": {"headers": [(b"", b"a")]},
    "a length that is none": {"headers": [(b"content-length", b"many")]},
    "an interim status": {"status": 101},
    "no status at all": {"status": 9},
}


@pytest.mark.parametrize("name", BAD_STARTS)
async def test_an_invalid_response_of_the_application_is_refused(name: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        start: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}
        await send(start | BAD_STARTS[name])
        await send({"type": "http.response.body", "body": b"x"})

    async with serving(app, errorlog=None) as server:
        answer = await server.ask(get())
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"set-cookie" not in answer
    assert server.observer.application_failures


@pytest.mark.parametrize("body", [b"longer than said", b"ab"])
async def test_a_body_of_another_length_ends_the_connection(stage: Stage, body: bytes) -> None:
    async with serving(stage) as server:
        client = await server.connect()
        await client.send(get() + get("/smuggled"))
        visit = await stage.visit()
        await visit.start((b"content-length", b"4"))
        with pytest.raises(Exception, match="Content-Length"):
            await visit.body(body)
        visit.leave()
        assert b"smuggled" not in await client.rest()


async def test_the_bytes_of_a_response_are_one_write(stage: Stage) -> None:
    async with serving(stage, include_date_header=True, include_server_header=False) as server:
        client = await server.connect()
        await client.send(get())
        visit = await stage.visit()
        await visit.start((b"content-length", b"2"), (b"x-own", b"1"))
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(BlockingIOError):  # the head has not gone out alone
            os.read(client.stream.socket.fileno(), 1)
        await visit.body(b"ok")
        visit.leave()
        answer = bytes(await client.stream.receive_some())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert body == b"ok"
    assert b"\r\ndate: " in head
    assert b"server:" not in head


async def test_100_continue_is_sent_only_when_the_body_is_read(stage: Stage) -> None:
    async with serving(stage) as server:
        client = await server.connect()
        await client.send(post("Content-Length: 4", "Expect: 100-continue"))
        visit = await stage.visit()
        await visit.respond(b"no need")
        visit.leave()
        answer = await client.rest()
        assert b"100 Continue" not in answer
        assert b"connection: close" in answer  # the body may come or not: this cannot be known


async def test_100_continue_is_never_sent_within_a_response(stage: Stage) -> None:
    async with serving(stage) as server:
        client = await server.connect()
        await client.send(post("Content-Length: 4", "Expect: 100-continue", "Connection: close"))
        visit = await stage.visit()
        await visit.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(visit.receive)
            await trio.testing.wait_all_tasks_blocked()
            await client.send(b"body")
        await visit.body(b"answer")
        visit.leave()
        answer = await client.rest()
    assert b"100 Continue" not in answer
    assert answer.endswith(b"\r\n\r\n6\r\nanswer\r\n0\r\n\r\n")
