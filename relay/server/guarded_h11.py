"""Hypercorn's HTTP/1.1 connection, without the doors that strangers came in by."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import h11
from hypercorn.events import Closed
from hypercorn.protocol.events import Event, Request, Response
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol, H11WSConnection
from hypercorn.typing import AppWrapper, ASGIReceiveCallable, ASGISendCallable, Scope

from .bounds import GuardLimits
from .guarded_http import GuardedHTTPStream
from .guarded_websocket import GuardedWSStream
from .heads import Head
from .refusals import Refusal, Refusals
from .screening import origin_form, screen, wants_websocket
from .transport import EXTENSION, Framing, WireTransport
from .wire import Wire


class GuardedH11Protocol(H11Protocol):
    """HTTP/1.1 and 1.0 and the WebSocket upgrade, nothing else.

    HTTP/2 is neither assumed nor switched to: `Upgrade: h2c` is answered as plain HTTP/1.1,
    as RFC 9110, 7.8 allows, and its preface is a request of an unknown version.
    """

    def __init__(self, *args: Any, wire: Wire, limits: GuardLimits, refusals: Refusals) -> None:
        super().__init__(*args)
        self._wire = wire
        self._limits = limits
        self._refusals = refusals

    async def stream_send(self, event: Event) -> None:
        if isinstance(event, Response) and event.status_code >= 200 and self._is_last_answer():
            kept = [header for header in event.headers if header[0].lower() != b"connection"]
            event = replace(event, headers=[*kept, (b"connection", b"close")])
        await super().stream_send(event)

    def _is_last_answer(self) -> bool:
        """Whether the connection ends after this answer, and should say so."""
        return self.context.terminated.is_set() or isinstance(self.connection, H11WSConnection)

    async def _check_protocol(self, event: h11.Request) -> None:
        """Hypercorn would switch to HTTP/2 here."""

    async def _create_stream(self, request: h11.Request) -> None:
        head = _head(request)
        problem = screen(head, self.config, self._limits)
        if problem is not None:
            await self._answer(self._refusals.of(problem, head.headers), head.method)
            await self.send(Closed())
            return
        websocket = wants_websocket(head)
        version = request.http_version.decode()
        framing: Framing = "chunked" if version == "1.1" else "close"
        transport = WireTransport(self._wire, "websocket" if websocket else framing)
        connection = (
            offering(self.app, transport),
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        if websocket:
            self.stream = GuardedWSStream(
                *connection,
                wire=self._wire,
                transport=transport,
                limits=self._limits,
                refusals=self._refusals,
            )
            self.connection = H11WSConnection(cast("h11.Connection", self.connection))
        else:
            self.stream = GuardedHTTPStream(
                *connection, wire=self._wire, transport=transport, refusals=self._refusals
            )
        target = origin_form(request.method, request.target)
        assert target is not None  # screened
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=head.headers,
                http_version=version,
                method=request.method.decode("ascii").upper(),
                raw_path=target,
                state=self.connection_state,
            )
        )
        self.keep_alive_requests += 1

    async def _send_error_response(self, status_code: int) -> None:
        """What h11 could not read is answered as a problem, too."""
        await self._answer(self._refusals.of_status(status_code))

    async def _answer(self, refusal: Refusal, method: bytes = b"GET") -> None:
        headers = [*refusal.headers, *self.config.response_headers("h11")]
        await self._send_h11_event(
            h11.Response(status_code=refusal.problem.status, headers=headers)
        )
        if method != b"HEAD":
            await self._send_h11_event(h11.Data(data=refusal.body))
        await self._send_h11_event(h11.EndOfMessage())


def _head(request: h11.Request) -> Head:
    headers = list(request.headers)
    size = sum([len(name) + len(value) for name, value in headers])
    parts = request.method, request.target, request.http_version
    return Head(*parts, headers, size=size, is_ascii=False)


def offering(app: AppWrapper, transport: WireTransport) -> AppWrapper:
    """The application, called with its connection's transport among the extensions."""

    async def call(
        scope: Scope,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
        sync_spawn: Callable[..., Any],
        call_soon: Callable[..., Any],
    ) -> None:
        if scope["type"] != "lifespan":
            scope["extensions"][EXTENSION] = cast("dict[str, Any]", transport)
        await app(scope, receive, send, sync_spawn, call_soon)

    return call
