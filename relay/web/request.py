"""The request objects that all handlers use, made from the ASGI scope.

Quart's own request object is made only for the routes that Quart handles. `current_request` finds
ours from there.
"""

from collections.abc import Mapping
from typing import Any, cast
from uuid import UUID

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable
from quart import request, websocket
from quart.ctx import has_request_context
from werkzeug.sansio.http import parse_cookie

from relay.auth.credentials import Credential
from relay.errors import Problem
from relay.realtime.asgi_websocket import AsgiWebSocket
from relay.server.handle import HANDLE_EXTENSION, ConnectionHandle
from relay.services import Services
from relay.web.address_block import address_block
from relay.web.answer_budget import SMALL, AnswerBudget
from relay.web.answers import Answer, Headers
from relay.web.body import RequestBody
from relay.web.body_budget import BodyBudget
from relay.web.headers import RequestHeaders
from relay.web.query import QueryParameters
from relay.web.scope_keys import REQUEST, REQUEST_ID

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110, 9.2.1


class Request:
    """What HTTP requests and WebSocket handshakes have in common."""

    __slots__ = (
        "_args",
        "credential_problem",
        "found_credential",
        "headers",
        "path_args",
        "revoked_count",
        "scope",
        "services",
        "started",
    )

    def __init__(self, scope: Any, services: Services) -> None:
        self.scope: dict[str, Any] = scope
        self.services = services
        self.headers = RequestHeaders(list(scope["headers"]))
        self.path_args: Mapping[str, str] = {}
        self.started = False  # whether the answer has begun
        self._args: QueryParameters | None = None
        # after the lookup: the credential, or the problem with it
        self.found_credential: Credential | None = None
        self.credential_problem: Problem | None = None
        self.revoked_count = 0  # the store's at the lookup

    @property
    def method(self) -> str:
        """The method. A WebSocket handshake is a GET (RFC 6455, 4.1)."""
        method: str = self.scope.get("method", "GET")
        return method

    @property
    def id(self) -> str:
        """The X-Request-ID of the answer."""
        return str(self.scope.get(REQUEST_ID, ""))

    @property
    def origin(self) -> str | None:
        """The Origin header, if any. Two of them are joined, and match no allowed origin."""
        return self.headers.joined(b"origin")

    @property
    def args(self) -> QueryParameters:
        """The query parameters."""
        if self._args is None:
            self._args = QueryParameters(self.scope["query_string"])
        return self._args

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies. HTTP/2 may split them over several headers."""
        found = [value for name, value in self.scope["headers"] if name == b"cookie"]
        return parse_cookie(b"; ".join(found).decode("latin-1"))

    @property
    def address(self) -> str:
        """The client's address: the peer's, or the one that trusted proxies report."""
        client = self.scope.get("client")
        return client[0] if client else "local"

    @property
    def address_block(self) -> str:
        """The address, or its IPv6 /64: what limits count as one client."""
        return address_block(self.address)

    @property
    def credential(self) -> Credential:
        """The credential that the route's need has admitted. For routes that need one."""
        assert self.found_credential is not None, "the route needs no credential"
        return self.found_credential

    @property
    def handle(self) -> ConnectionHandle | None:
        """The connection under Relay's own server; None under another server."""
        extensions: dict[str, Any] = self.scope.get("extensions") or {}
        return extensions.get(HANDLE_EXTENSION)


class HTTPRequest(Request):
    """An HTTP request, with methods that send its answer."""

    __slots__ = ("_answer_budget", "_receive", "_send", "body")

    def __init__(
        self,
        scope: Any,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
        services: Services,
        body_budget: BodyBudget,
        answer_budget: AnswerBudget,
    ) -> None:
        super().__init__(scope, services)
        self.body = RequestBody(
            self.headers,
            self.handle,
            receive,
            body_budget,
            services.settings.body_timeout,
        )
        self._answer_budget = answer_budget
        self._receive = receive
        self._send = send

    @property
    def _client(self) -> UUID | str:
        """The user, or the address of a client without one."""
        found = self.found_credential
        return self.address_block if found is None else found.user_id

    async def discard_body(self) -> None:
        """Read and drop an unread body, so that the connection can go on. Raises ClientGone.

        It does not wait for the body of a safe method, which has no meaning (RFC 9110, 9.3.1).
        """
        await self.body.discard_unread(wait=self.method not in SAFE_METHODS)

    async def send(self, answer: Answer) -> None:
        """Send the whole answer. The server closes the connection if body bytes are unread."""
        without_body = self.method == "HEAD" or answer.status in (204, 304)
        body = b"" if without_body else answer.body
        await self.start(answer.status, answer.headers)
        if len(body) > SMALL and not answer.kept and self.handle is not None:
            with self._answer_budget.sending(self.handle, self._client, len(body)):
                await self._send(_part(body, more=False))
        else:
            await self._send(_part(body, more=False))

    async def start(self, status: int, headers: Headers) -> None:
        """Start a streamed answer, for `write` and `end`."""
        self.started = True
        start: Any = {"type": "http.response.start", "status": status, "headers": headers}
        await self._send(start)

    async def write(self, part: bytes) -> None:
        """Send a part of the streamed body."""
        await self._send(_part(part, more=True))

    async def end(self) -> None:
        """End the streamed body."""
        await self._send(_part(b"", more=False))

    async def wait_for_disconnect(self) -> None:
        """Wait for the client's disconnect, and drop body bytes until then."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


class WebSocketRequest(Request):
    """A WebSocket's handshake, and the socket that it opens."""

    __slots__ = ("socket",)

    def __init__(
        self, scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable, services: Services
    ) -> None:
        super().__init__(scope, services)
        self.socket = AsgiWebSocket(receive, send)

    async def accept(self, subprotocol: str | None) -> None:
        """Accept the handshake, and drop its headers, since idle WebSockets are many."""
        self.started = True
        self.headers = RequestHeaders([])
        self.scope["headers"] = []
        await self.socket.accept(subprotocol)

    async def send(self, answer: Answer) -> None:
        """Reject the handshake with this answer."""
        self.started = True
        await self.socket.refuse(answer.status, answer.headers, answer.body)


def current_request() -> Request:
    """Our request object for the one that Quart handles in this task."""
    scope: Any = request.scope if has_request_context() else websocket.scope
    return cast("Request", scope[REQUEST])


def _part(body: bytes, *, more: bool) -> Any:
    """ASGI's `http.response.body` event."""
    return {"type": "http.response.body", "body": body, "more_body": more}
