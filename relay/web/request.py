"""A request as the server hands it over: the scope of ASGI, and its events when they are needed.

Handlers work on these objects, whichever way the request took to them. Quart's own request is
made only where Quart routes; `current_request` is the way back from it.
"""

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import parse_qsl

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable
from quart import request, websocket
from quart.ctx import has_request_context
from werkzeug.sansio.http import parse_cookie

from relay.auth.credentials import Credential
from relay.errors import Problem
from relay.rate_limiting import address_block
from relay.realtime.asgi_websocket import Socket
from relay.server.transport import EXTENSION, Transport
from relay.services import Services
from relay.web.answers import Answer, Headers
from relay.web.body import RequestBody
from relay.web.body_budget import Intake
from relay.web.headers import RequestHeaders
from relay.web.middleware.access_log import request_id

REQUEST = "relay.request"  # the request's key in its scope, while Quart handles it
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110, 9.2.1


class Request:
    """What an HTTP request and a WebSocket's handshake have in common."""

    __slots__ = (
        *("_args", "credential_problem", "found_credential", "headers"),
        *("path_args", "scope", "services", "started"),
    )

    def __init__(self, scope: Any, services: Services) -> None:
        self.scope: dict[str, Any] = scope
        self.services = services
        self.headers = RequestHeaders(list(scope["headers"]))
        self.path_args: Mapping[str, str] = {}
        self.started = False  # the answer
        self._args: dict[str, str] | None = None
        # once it was looked for: the credential, or the problem with it
        self.found_credential: Credential | None = None
        self.credential_problem: Problem | None = None

    @property
    def method(self) -> str:
        """A handshake is a GET (RFC 6455, 4.1)."""
        method: str = self.scope.get("method", "GET")
        return method

    @property
    def id(self) -> str:
        """The X-Request-ID of the answer."""
        return request_id(self.scope)

    @property
    def origin(self) -> str | None:
        """The page that sends this, where a browser says so; of two, both, which is no page."""
        return self.headers.joined(b"origin")

    @property
    def args(self) -> Mapping[str, str]:
        """The query's parameters. Of several with one name the first counts."""
        if self._args is None:
            query = self.scope["query_string"].decode("utf-8", "replace")
            pairs = parse_qsl(query, keep_blank_values=True) if query else []
            self._args = dict(reversed(pairs))
        return self._args

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies; HTTP/2 may spread them over several headers."""
        found = [value for name, value in self.scope["headers"] if name == b"cookie"]
        return parse_cookie(b"; ".join(found).decode("latin-1"))

    @property
    def address(self) -> str:
        """The peer's address, or the one that the trusted proxies name."""
        client = self.scope.get("client")
        return client[0] if client else "local"

    @property
    def address_block(self) -> str:
        """What rate limits and bounds count as one address."""
        return address_block(self.address)

    @property
    def credential(self) -> Credential:
        """The credential that the route needs; not for a route that needs none."""
        assert self.found_credential is not None, "the route needs no credential"
        return self.found_credential

    @property
    def transport(self) -> Transport | None:
        """The connection, where Relay's own server is around the application."""
        extensions: dict[str, Any] = self.scope.get("extensions") or {}
        return extensions.get(EXTENSION)


class HTTPRequest(Request):
    """An HTTP request, and the way for its answer."""

    __slots__ = ("_receive", "_send", "body")

    def __init__(
        self,
        scope: Any,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
        services: Services,
        intake: Intake,
    ) -> None:
        super().__init__(scope, services)
        self.body = RequestBody(
            self.headers,
            self.transport,
            receive,
            intake,
            services.settings.body_timeout,
        )
        self._receive = receive
        self._send = send

    async def pass_over_body(self) -> None:
        """Read what is left of the body, so that the next request may follow. Raises ClientGone.

        A body has no meaning for a safe method (RFC 9110, 9.3.1): it is not waited for.
        """
        await self.body.pass_over(waiting=self.method not in SAFE_METHODS)

    async def send(self, answer: Answer) -> None:
        """Send the whole answer. The server ends the connection if the body was not all read."""
        without_body = self.method == "HEAD" or answer.status in (204, 304)
        await self.start(answer.status, answer.headers)
        await self._send(_part(b"" if without_body else answer.body, more=False))

    async def start(self, status: int, headers: Headers) -> None:
        """Begin an answer that `write` continues and `end` ends."""
        self.started = True
        start: Any = {"type": "http.response.start", "status": status, "headers": headers}
        await self._send(start)

    async def write(self, part: bytes) -> None:
        """Send a part of the answer's body."""
        await self._send(_part(part, more=True))

    async def end(self) -> None:
        """End the answer."""
        await self._send(_part(b"", more=False))

    async def left(self) -> None:
        """Wait until the client has left. Body bytes that come until then are dropped."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


class WebSocketRequest(Request):
    """A WebSocket's handshake, and the socket that it asks for."""

    __slots__ = ("socket",)

    def __init__(
        self, scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable, services: Services
    ) -> None:
        super().__init__(scope, services)
        self.socket = Socket(receive, send)

    async def accept(self, subprotocol: str | None) -> None:
        """Open the WebSocket."""
        self.started = True
        await self.socket.accept(subprotocol)

    async def send(self, answer: Answer) -> None:
        """Refuse the handshake with this answer."""
        self.started = True
        await self.socket.refuse(answer.status, answer.headers, answer.body)


def current_request() -> Request:
    """The request that Quart handles in this task."""
    scope: Any = request.scope if has_request_context() else websocket.scope
    return cast("Request", scope[REQUEST])


def _part(body: bytes, *, more: bool) -> Any:
    """A part of an answer's body, as ASGI has it."""
    return {"type": "http.response.body", "body": body, "more_body": more}
