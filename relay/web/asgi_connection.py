"""Run one ASGI request: handle direct routes here, and pass all others to Quart.

Both classes plug into Quart's own extension points. A request runs in the task that the server
gave it, without a nursery: nearly all have a small body and a small answer, and their handlers
need not watch for a disconnect. A stream's handler writes until the stream ends. (Quart's own
streaming pulls from a generator, which must not yield inside a nursery or a cancel scope.)
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, WebsocketScope
from quart.utils import encode_headers
from quart_trio.asgi import TrioASGIHTTPConnection, TrioASGIWebsocketConnection

from relay.web.answers import Answer
from relay.web.body import ClientGone
from relay.web.request import HTTPRequest, Request, WebSocketRequest
from relay.web.routes import WEBSOCKET, answer_direct
from relay.web.scope_keys import QUOTA, REQUEST

_QUOTA_NAMES = b"ratelimit-"  # how they begin


class HTTPConnection(TrioASGIHTTPConnection):
    """quart-trio's HTTP connection, without its nursery and its body queue."""

    app: Any  # relay.app.Relay, which imports this module

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        app, scope = self.app, self.scope
        request = HTTPRequest(
            scope, receive, send, app.services, app.body_budget, app.answer_budget
        )
        route = app.direct_routes.find(scope["method"], request)
        if route is not None:
            answer = await answer_direct(request, route)
        else:
            answer = await self._handle_with_quart(request, send)
        if answer is None or request.started:
            return
        with suppress(ClientGone):
            await request.discard_body()
            await request.send(answer)

    async def _handle_with_quart(self, request: HTTPRequest, send: ASGISendCallable) -> Answer:
        with _in_scope(request):
            quart_request = self._create_request_from_scope(send)
            quart_request.body.set_complete()  # handlers read the body from our request
            response = await self.app.handle_request(quart_request)
            return await _convert_response(response, request)


class WebSocketConnection(TrioASGIWebsocketConnection):
    """quart-trio's WebSocket connection, in the one task that the server gave it.

    No task reads ahead and no channel buffers messages. A handler sees the disconnect only while
    it receives, so it must always receive.
    """

    app: Any  # relay.app.Relay, which imports this module

    def __init__(self, app: Any, scope: WebsocketScope) -> None:
        self.app = app
        self.scope = scope

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        request = WebSocketRequest(self.scope, receive, send, self.app.services)
        route = self.app.direct_routes.find(WEBSOCKET, request)
        if route is not None:
            answer = await answer_direct(request, route)
        else:
            answer = await self._handle_with_quart(request, send)
        if answer is not None and not request.started:
            await request.send(answer)

    async def _handle_with_quart(
        self, request: WebSocketRequest, send: ASGISendCallable
    ) -> Answer | None:
        self.receive_channel: Any = request.socket  # where Quart's `websocket` reads from
        with _in_scope(request):
            quart_websocket = self._create_websocket_from_scope(send)
            response = await self.app.handle_websocket(quart_websocket)
        return None if response is None else await _convert_response(response, request)


@contextmanager
def _in_scope(request: Request) -> Iterator[None]:
    """Put the request into its scope for the block, so that `current_request` finds it.

    It is removed again: scope and request would refer to each other, and only the garbage
    collector would free them.
    """
    request.scope[REQUEST] = request
    try:
        yield
    finally:
        del request.scope[REQUEST]


async def _convert_response(response: Any, request: Request) -> Answer:
    """Convert Quart's response. Its body is small and in memory.

    Where a handler has charged a limit, the answer gets that quota instead of the route's own.
    """
    body = await response.get_data(as_text=False)
    headers = encode_headers(response.headers)
    if QUOTA in request.scope:
        headers = [one for one in headers if not one[0].lower().startswith(_QUOTA_NAMES)]
    return Answer(response.status_code, headers, body)
