"""Small applications that send back what they receive: plain ASGI with a record, and Quart's."""

from collections.abc import Callable
from typing import Any

import trio
from quart import request, websocket
from quart_trio import QuartTrio

from tests.support.server.stage import lifespan


class Echo:
    """Bodies come back as they were; WebSocket messages, too. `heard` is a list a request."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []
        self.heard: list[list[dict[str, Any]]] = []
        self.hung_up = trio.Event()  # a WebSocket's disconnect was heard

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        heard: list[dict[str, Any]] = []
        self.scopes.append(scope)
        self.heard.append(heard)
        if scope["type"] == "websocket":
            await _echo_messages(receive, send, heard.append)
            self.hung_up.set()
        else:
            await _echo_body(scope, receive, send, heard.append)


async def _echo_body(
    scope: Any, receive: Any, send: Any, forward_events: Callable[[dict[str, Any]], None]
) -> None:
    body = b""
    while True:
        event = await receive()
        forward_events(event)
        if event["type"] == "http.disconnect":
            return
        body += event["body"]
        if not event["more_body"]:
            break
    headers = [(b"content-type", b"application/octet-stream")]
    if scope["path"] != "/stream":
        headers.append((b"content-length", b"%d" % len(body)))
    status = int(scope["query_string"] or b"200")
    await send({"type": "http.response.start", "status": status, "headers": headers})
    half = len(body) // 2
    await send({"type": "http.response.body", "body": body[:half], "more_body": True})
    await send({"type": "http.response.body", "body": body[half:], "more_body": False})


async def _echo_messages(
    receive: Any, send: Any, forward_events: Callable[[dict[str, Any]], None]
) -> None:
    forward_events(await receive())
    await send({"type": "websocket.accept", "subprotocol": None, "headers": [(b"x-e", b"o")]})
    while True:
        event = await receive()
        forward_events(event)
        if event["type"] == "websocket.disconnect":
            return
        await send({"type": "websocket.send", "bytes": event["bytes"], "text": event["text"]})


def quart_echo() -> QuartTrio:
    """`ok` at `/`, bodies back from `/echo`, messages back from the WebSocket `/ws`."""
    app = QuartTrio(__name__)

    @app.get("/")
    async def index() -> str:
        return "ok"

    @app.post("/echo")
    async def echo() -> bytes:
        body = await request.get_data()
        assert isinstance(body, bytes)
        return body

    @app.websocket("/ws")
    async def chat() -> None:
        while True:
            message = await websocket.receive()
            await websocket.send(message if message is not None else b"")

    return app
