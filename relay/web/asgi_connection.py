"""One exchange between the server and Quart, through Quart's own extension points.

Nearly every request here is a small body and a small answer, and its handler never waits for
the client to leave: it runs in the task that the server gave it, without a nursery or helpers.
Only a stream outlives its answer's start; it pushes, top to bottom, until it ends. (Quart's own
streaming pulls from a generator, which must not yield inside a nursery or a cancel scope.)
"""

from collections.abc import Awaitable, Callable, Generator
from contextlib import ExitStack
from enum import Enum, auto
from functools import partial
from typing import Any, cast

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, WebsocketScope
from quart import Request, Response
from quart.asgi import ASGIWebsocketConnection
from quart.utils import encode_headers
from quart.wrappers.response import DataBody
from quart_trio.asgi import TrioASGIHTTPConnection, TrioASGIWebsocketConnection
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge, RequestTimeout

from relay.ingest.envelope import most_bytes
from relay.realtime.asgi_websocket import Socket
from relay.realtime.sse import HEADERS, Left, Write
from relay.server.transport import EXTENSION, Transport
from relay.web.body_budget import Intake
from relay.web.problem_responses import Answer

Run = Callable[[Write, Left, Transport | None], Awaitable[None]]

_CONTINUE = b"100-continue"

_STAYING = "relay.staying"  # where it stands in the scope
STREAMS = frozenset({"/api/sse"})  # paths whose answers go on and on


class EventStream(Response):
    """`run` is called once the response has started; its return ends the response."""

    def __init__(self, run: Run) -> None:
        super().__init__(b"", 200, HEADERS)
        self.timeout = None  # Quart's own would cut the stream after a minute
        self.headers.pop("Content-Length", None)
        self.run = run


def staying(request: Request) -> ExitStack:
    """What a stream's handler enters here stays until its response has ended."""
    return cast("ExitStack", cast("dict[str, Any]", request.scope)[_STAYING])


class Extent(Enum):
    """How far a request's body was taken in."""

    WHOLE = auto()
    TOO_LARGE = auto()
    TOO_SLOW = auto()
    ABANDONED = auto()  # the client left


class BodyOnDemand:
    """What Quart's request awaits as its body: taken in when the handler asks, and not before."""

    def __init__(self, take: Callable[[], Awaitable[bytes]]) -> None:
        self._take = take

    def __await__(self) -> Generator[Any, None, bytes]:
        return self._take().__await__()


class Exchange(TrioASGIHTTPConnection):
    """quart-trio's connection, lean for small requests, pushing for streams."""

    app: Any  # a Quart app with its shortcuts and an intake

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if self.scope["path"] in STREAMS:
            with ExitStack() as staying:
                await self._stream(receive, send, staying)
            return
        if self._waits_for_leave():
            await self._judge_first(receive, send)
            return
        body, extent = await self._take(receive)
        if extent is Extent.ABANDONED:
            return
        if extent is Extent.WHOLE:
            answer = await self.app.shortcut(self.scope, body)
            if answer is not None:
                await _answer(send, answer)
                return
        request = self._create_request_from_scope(send)
        request.body.append(body)
        if extent is Extent.WHOLE:
            request.body.set_complete()
        elif extent is Extent.TOO_SLOW:
            request.body_timeout = 0
        response = await self.app.handle_request(request)
        if extent is not Extent.WHOLE:  # what is still to come is no next request
            response.headers["Connection"] = "close"
        await self._send_response(send, response)

    async def _stream(
        self, receive: ASGIReceiveCallable, send: ASGISendCallable, staying: ExitStack
    ) -> None:
        """Whatever comes of a body is nobody's: it is passed over while the stream runs."""
        self._incoming = receive
        opened = await self.app.streams.sse(self.scope, staying)
        if isinstance(opened, Answer):
            await _answer(send, opened)
            return
        if opened is not None:
            await send(_start(200, self.app.streams.headers))
            await self._push(send, opened)
            return
        cast("dict[str, Any]", self.scope)[_STAYING] = staying
        request = self._create_request_from_scope(send)
        request.body.set_complete()
        await self._send_response(send, await self.app.handle_request(request))

    async def _judge_first(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Ask for the body only when the handler does: who is refused is never told to send it."""
        request = self._create_request_from_scope(send)
        self._extent: Extent | None = None
        request.body = cast("Any", BodyOnDemand(partial(self._demand, receive)))
        response = await self.app.handle_request(request)
        if self._extent is Extent.ABANDONED:
            return
        if self._extent is not Extent.WHOLE:
            response.headers["Connection"] = "close"
        await self._send_response(send, response)

    async def _demand(self, receive: ASGIReceiveCallable) -> bytes:
        """The body, which its sender gets leave to send now. Raises what the handler should."""
        body, self._extent = await self._take(receive)
        if self._extent is Extent.TOO_LARGE:
            raise RequestEntityTooLarge()
        if self._extent is Extent.TOO_SLOW:
            raise RequestTimeout()
        if self._extent is Extent.ABANDONED:
            raise ClientDisconnected()
        return body

    async def _take(self, receive: ASGIReceiveCallable) -> tuple[bytes, Extent]:
        """Take the body in, as far as it may go.

        What is too large or too slow is left unfinished: the handler meets it as 413 or 408
        when it asks for the body, after it has looked at who asks.
        """
        if self._is_here():
            whole: Any = await receive()
            return whole["body"], Extent.WHOLE
        most, announced = self._bounds()
        if announced > most:
            return b"", Extent.TOO_LARGE
        intake: Intake = self.app.intake
        with intake.body(self.app.config["BODY_TIMEOUT"]) as body:
            while True:
                message: Any = await receive()
                if message["type"] == "http.disconnect":
                    return b"", Extent.ABANDONED
                intake.add(body, message["body"])
                if not message.get("more_body", False):
                    break
                if len(body.data) > most:
                    return bytes(body.data), Extent.TOO_LARGE
        if body.patience.cancel_called:
            return b"", Extent.TOO_SLOW
        return bytes(body.data), Extent.WHOLE

    @property
    def _transport(self) -> Transport | None:
        extensions: dict[str, Any] = self.scope.get("extensions") or {}
        return extensions.get(EXTENSION)

    def _is_here(self) -> bool:
        """Whether the whole body came with its head: little then, and nothing to wait for."""
        transport = self._transport
        return transport is not None and transport.body_is_here

    def _waits_for_leave(self) -> bool:
        """Whether the sender asks before it sends (RFC 9110, 10.1.1), and has sent nothing yet."""
        if self._is_here() or self.scope["http_version"] == "1.0":
            return False
        headers = self.scope["headers"]
        return any(name == b"expect" and value.lower() == _CONTINUE for name, value in headers)

    def _bounds(self) -> tuple[int, int]:
        """What the body may have, and what it says it has, in bytes."""
        kind = length = b""
        for name, value in self.scope["headers"]:
            if name == b"content-length":
                length = value
            elif name == b"content-type":
                kind = value
        return most_bytes(kind.decode("latin-1")), int(length) if length.isdigit() else 0

    async def _send_response(self, send: ASGISendCallable, response: Any) -> None:
        head = self.scope["method"] == "HEAD"
        if isinstance(response, EventStream) and not head:
            await send(_started(response))
            await self._push(send, response.run)
        elif response.status_code in (204, 304):
            await send(_started(response))
            await send(_body(b"", more=False))
        elif isinstance(response, Response) and isinstance(response.response, DataBody):
            await send(_started(response))
            await send(_body(b"" if head else response.response.data, more=False))
        else:
            await super()._send_response(send, response)

    async def _push(self, send: ASGISendCallable, run: Run) -> None:
        async def write(body: bytes) -> None:
            await send(_body(body, more=True))

        await run(write, self._left, self._transport)
        await send(_body(b"", more=False))

    async def _left(self) -> None:
        """Return when the client has left."""
        while (await self._incoming())["type"] != "http.disconnect":
            pass


class SocketExchange(TrioASGIWebsocketConnection):
    """quart-trio's WebSocket, in the one task that the server gave it.

    The handler hears of a disconnect when it receives, which it therefore always must. No helper
    task reads ahead, no channel keeps what nobody asked for.
    """

    app: Any  # a Quart app with its shortcuts

    def __init__(self, app: Any, scope: WebsocketScope) -> None:
        self.app = app
        self.scope = scope
        self._accepted = False
        self._closed = False

    @property
    def receive_channel(self) -> Any:  # type: ignore[override]  # nobody sets it
        """Where Quart's websocket asks for messages."""
        return self._socket

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        self._socket = Socket(receive, send)
        if await self.app.streams.websocket(self.scope, self._socket):
            return
        websocket = self._create_websocket_from_scope(send)
        await ASGIWebsocketConnection.handle_websocket(self, websocket, send)


def _started(response: Response) -> Any:
    return _start(response.status_code, encode_headers(response.headers))


async def _answer(send: ASGISendCallable, answer: Answer) -> None:
    await send(_start(answer.status, answer.headers))
    await send(_body(answer.body, more=False))


def _start(status: int, headers: list[tuple[bytes, bytes]]) -> Any:
    return {"type": "http.response.start", "status": status, "headers": headers}


def _body(body: bytes, *, more: bool) -> Any:
    return {"type": "http.response.body", "body": body, "more_body": more}
