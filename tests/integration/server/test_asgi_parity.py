"""Hypercorn and Relay's server give an application the same scopes and events.

Where ours is better than Hypercorn, the difference is written down here, and nowhere else.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import h11
import pytest
import trio
import trio.testing
from hypercorn.trio import serve as unmodified

from tests.support.client.connection import ClientConnection
from tests.support.client.protocol import masked
from tests.support.patience import PATIENCE, eventually
from tests.support.server.echo import Echo
from tests.support.server.mutations import HANDSHAKE
from tests.support.server.stage import configuration, get, serving

POST = get("/path/%c3%a9?200", "Content-Length: 4", "X-Own: One", "x-own: two")
REQUESTS = {
    "a GET": get("/a%20b?201", "Accept: */*"),
    "a HEAD": get().replace(b"GET", b"HEAD"),
    "a POST": POST.replace(b"GET", b"POST") + b"body",
    "a chunked PUT": get("/stream", "Transfer-Encoding: chunked").replace(b"GET", b"PUT")
    + b"4\r\nbody\r\n0\r\n\r\n",
    "a DELETE without an answer": get("/?204").replace(b"GET", b"DELETE"),
    "an OPTIONS": get("*").replace(b"GET", b"OPTIONS"),
    "an absolute target": get("http://relay/path"),
    "HTTP/1.0": get("/stream", version="1.0"),
    "a body unasked for": get("/", "Content-Length: 4") + b"body",
}
SOCKETS = {
    "messages": (masked(0x81, "hé".encode()), masked(0x82, b"\x00"), masked(0x82, b"")),
    "fragments": (masked(0x01, b"he") + masked(0x80, b"llo"),),
    "a close with a code": (masked(0x81, b"x"), masked(0x88, b"\x0f\xa0bye")),
    "pings between": (masked(0x89, b"?") + masked(0x8A, b"!") + masked(0x81, b"x"),),
}

SERVERS = ("hypercorn", "relay")


@asynccontextmanager
async def under(name: str, echo: Echo) -> AsyncIterator[int]:
    """The application's port."""
    if name == "relay":
        async with serving(echo, include_server_header=False) as server:
            yield server.port
        return
    stop = trio.Event()
    config = configuration(include_server_header=False, errorlog=None, graceful_timeout=0.05)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            serve: Any = unmodified
            (url,) = await nursery.start(
                lambda task_status: serve(
                    echo, config, shutdown_trigger=stop.wait, task_status=task_status
                )
            )
            yield int(url.rpartition(":")[2])
            stop.set()


def heard_by(echo: Echo) -> list[Any]:
    """Scopes and events, without what differs from run to run or belongs to us."""
    return [
        (_scope(scope), _events(heard))
        for scope, heard in zip(echo.scopes, echo.heard, strict=True)
    ]


def _scope(scope: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in scope.items() if key not in ("client", "server")}
    kept["headers"] = [
        (name, value) for name, value in scope["headers"] if name != b"sec-websocket-extensions"
    ]
    kept["extensions"] = sorted(set(scope["extensions"]) - {"relay.handle"})
    kept["state"] = dict(scope["state"])
    assert scope["client"][0] == scope["server"][0] == "127.0.0.1"
    return kept


def _events(heard: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Bodies as one event: how a body is cut is not promised."""
    bodies = [event for event in heard if event["type"] == "http.request"]
    rest = [event for event in heard if event["type"] != "http.request"]
    if not bodies:
        return rest
    assert [event["more_body"] for event in bodies] == [True] * (len(bodies) - 1) + [False]
    assert all(set(event) == {"type", "body", "more_body"} for event in bodies)
    whole = b"".join(event["body"] for event in bodies)
    return [{"type": "http.request", "body": whole}, *rest]


async def _ask(port: int, request: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of the answer."""
    client = ClientConnection(await trio.open_tcp_stream("127.0.0.1", port))
    async with client.stream:
        await client.send(request)
        method = request.split(b" ", 1)[0].decode()
        answer = h11.Connection(h11.CLIENT)
        answer.send(h11.Request(method=method, target="/", headers=[("Host", "relay")]))
        answer.send(h11.EndOfMessage())
        body, head = b"", None
        while not isinstance(event := answer.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                answer.receive_data(await client.receive())
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
    assert head is not None
    return head.status_code, dict(head.headers), body


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_request_has_the_scope_and_response_of_hypercorn(name: str) -> None:
    found = []
    for server in SERVERS:
        echo = Echo()
        async with under(server, echo) as port:
            answer = await _ask(port, REQUESTS[name])
        found.append((heard_by(echo), _answer(answer, name)))
    hypercorn, ours = found
    if name == "an absolute target":  # Hypercorn has the whole of it as the path
        hypercorn[0][0][0].update(path="/path", raw_path=b"/path")
    assert ours == hypercorn


def _answer(
    answer: tuple[int, dict[bytes, bytes], bytes], name: str
) -> tuple[int, dict[bytes, bytes], bytes]:
    status, headers, body = answer
    if status == 204:
        headers.pop(b"content-length", None)  # RFC 9110, 8.6: it must not have one
    if name == "HTTP/1.0":
        headers.pop(b"connection", None)  # it ends anyway
    return status, headers, body


@pytest.mark.parametrize("name", SOCKETS)
async def test_a_websocket_has_the_scope_and_messages_of_hypercorn(name: str) -> None:
    handshake = HANDSHAKE.replace(
        b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n", b""
    )
    found = []
    for server in SERVERS:
        echo = Echo()
        async with under(server, echo) as port:
            client = ClientConnection(await trio.open_tcp_stream("127.0.0.1", port))
            async with client.stream:
                await client.send(handshake)
                answer = b""
                while not answer.endswith(b"\r\n\r\n"):
                    answer += await client.stream.receive_some()
                for count, frame in enumerate(SOCKETS[name], 2):  # after "connect", one event each
                    await client.send(frame)
                    await _heard(echo, count)
                if name != "a close with a code":
                    await client.send(masked(0x88, b"\x03\xe8"))
                frames = await client.rest()
            await echo.hung_up.wait()
        found.append((_handshake(answer), frames, heard_by(echo)))
    hypercorn, ours = found
    # Hypercorn reports 1006 for every end that the client began; ours reports the client's code
    code = 4000 if name == "a close with a code" else 1000
    hypercorn[2][0][1][-1]["code"] = code
    assert ours == hypercorn


async def _heard(echo: Echo, count: int) -> None:
    """Wait until it has heard so many events of its one request, and has answered them."""
    await eventually(lambda: len(echo.heard[0]) == count)
    await trio.testing.wait_all_tasks_blocked()


def _handshake(answer: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    status, *lines = answer.removesuffix(b"\r\n\r\n").split(b"\r\n")
    headers = dict(line.lower().split(b": ", 1) for line in lines)
    return status[:12], headers


@pytest.mark.parametrize("server", SERVERS)
async def test_the_comparison_runs_two_different_servers(server: str) -> None:
    async with under(server, Echo()) as port:
        client = ClientConnection(await trio.open_tcp_stream("127.0.0.1", port))
        async with client.stream:
            await client.send(b"GET / HTTP/1.1\r\nHost: a\nX: b\r\nConnection: close\r\n\r\n")
            problem = b"The request's headers are not HTTP" in await client.rest()
    assert problem is (server == "relay")
