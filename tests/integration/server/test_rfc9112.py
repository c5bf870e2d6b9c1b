"""Requests by RFC 9112: what is read, whole, and what is refused."""

import json

import pytest

from tests.support.server.echo import Echo
from tests.support.server.rfc9112 import READ, REFUSED, chunked
from tests.support.server.stage import Stage, get, serving


@pytest.mark.parametrize("name", REFUSED)
async def test_malformed_http_is_refused_and_ends_its_connection(name: str) -> None:
    sent, status = REFUSED[name]
    echo = Echo()
    async with serving(echo) as server:
        answer = await server.ask(sent + get("/smuggled"))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer
    assert b"\r\nconnection: close" in head
    assert b"\r\ncontent-type: application/problem+json\r\n" in head
    assert json.loads(body)["status"] == status
    assert server.observer.refusals == [status]
    assert all(scope["path"] != "/smuggled" for scope in echo.scopes)


@pytest.mark.parametrize("name", READ)
async def test_valid_http_is_read_whole_and_the_next_request_follows(name: str) -> None:
    sent, (method, path, body) = READ[name]
    echo = Echo()
    async with serving(echo) as server:
        answers = await server.ask(sent + get("/behind", "Connection: close"))
    assert answers.count(b"HTTP/1.1 200 ") == 2, answers
    assert [scope["path"] for scope in echo.scopes] == [path, "/behind"]
    assert echo.scopes[0]["method"] == method
    assert b"".join(event["body"] for event in echo.heard[0]) == body
    assert server.observer.refusals == []


async def test_trailers_never_become_headers() -> None:
    echo = Echo()
    async with serving(echo) as server:
        await server.ask(chunked(b"0\r\nX-Secret: a\r\n\r\n", "Connection: close"))
    assert b"x-secret" not in dict(echo.scopes[0]["headers"])


@pytest.mark.parametrize("method", [b"get", b"Get", b"head", b"pOST", b"DELETe"])
async def test_a_method_in_small_letters_is_not_implemented(method: bytes) -> None:
    async with serving(Echo()) as server:
        answer = await server.ask(get("/").replace(b"GET", method))
    assert answer.startswith(b"HTTP/1.1 501 ")
    assert b"case-sensitive" in answer


HOSTS = {
    **dict.fromkeys(["a", "a.b:80", "a:", "127.0.0.1:8000", "[::1]", "[::1]:8000", "a_b"], 200),
    **dict.fromkeys(["a:x", "a:80x", "a:-1", "[::1", "::1]", "::1", "a]", "[a", "a[b]"], 400),
    **dict.fromkeys(["[]", "[::1]x", "[::1]:x", "[::1]:8:8", "a:8:8", "a@b", "a/b"], 400),
}


@pytest.mark.parametrize(("host", "status"), HOSTS.items())
async def test_a_host_has_brackets_in_pairs_and_a_port_of_digits(host: str, status: int) -> None:
    async with serving(Echo()) as server:
        sent = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        answer = await server.ask(sent.encode())
    assert answer.startswith(b"HTTP/1.1 %d " % status)


async def test_a_connection_closes_after_its_maximum_of_requests() -> None:
    async with serving(Echo(), keep_alive_max_requests=3) as server:
        answer = await server.ask(get() * 5)
    heads = answer.split(b"HTTP/1.1 200 ")[1:]
    assert [b"connection: close" in head for head in heads] == [False, False, True]


async def test_a_pipelining_client_does_not_block_others(
    stage: Stage,
) -> None:
    echo = Echo()
    async with serving(echo) as server:
        crowd = await server.connect()
        await crowd.send(get("/crowd") * 300)
        single = await server.connect()
        await single.send(get("/single"))
        await single.response()
        place = [scope["path"] for scope in echo.scopes].index("/single")
        assert place < 250
