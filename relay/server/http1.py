"""The lean layer: one HTTP/1.1 connection of our own, read top to bottom.

A request's head is parsed, the application runs in the connection's own task, what it asks for is
read and what it says is written; then comes the next request, or the end. No task, nursery or
queue is made for a request, and no more is read than somebody asked for.
"""

import re

from relay.errors import Problem

from .connection import Address, Connection
from .framing import body_of
from .heads import END, Head, check_unfinished, parse_head
from .http_exchange import HTTPExchange
from .reader import Reader
from .responses import ResponseWriter
from .scopes import Scopes
from .screening import screen, wants_websocket
from .transport import Framing, WireTransport
from .websocket import WebSocket
from .wire import Wire

EMPTY_LINES = re.compile(rb"(\r\n)+")  # tolerated in front of a request (RFC 9112, 2.2)
NOBODY = Head(b"GET", b"/", b"1.1", [])  # for the answer to what was no request


class LeanConnection(Connection):
    """HTTP/1.1 and 1.0 and the WebSocket upgrade, nothing else: HTTP/2 belongs to a proxy."""

    async def _converse(self, client: Address, server: Address) -> None:
        wire = self._open_wire(self._connections.spawn)
        self._reader = Reader(self._stream, wire)
        self._scopes = Scopes(
            client, server, self._state, root_path=self._config.root_path, secure=self._is_tls
        )
        try:
            websocket = await self._serve_requests(wire)
            if websocket is not None:
                await websocket.run(self._app)
            elif not self._reader.ended:
                await self._leave(wire)
        finally:
            self._let_go(wire)

    async def _serve_requests(self, wire: Wire) -> WebSocket | None:
        """One after the other, in the order they came; to the end, or to a WebSocket."""
        served = 0
        self._be_idle()
        while (head := await self._admitted_head(wire)) is not None:
            if wants_websocket(head):
                return self._websocket(head, wire)
            served += 1
            last = head.is_last or served >= self._config.keep_alive_max_requests
            if not await self._serve_request(head, wire, last=last) or self._is_last_call:
                self._spoke_last = True
                return None
            self._be_idle()
            await self._reader.give_way()
        return None

    async def _admitted_head(self, wire: Wire) -> Head | None:
        """The next request that the application may see; None: there is none, or it was refused."""
        head = None
        try:
            head = await self._next_head()
            self._be_busy()
            if head is not None and (problem := screen(head, self._config, self._limits)):
                raise problem
        except Problem as problem:
            await self._refuse(problem, head or NOBODY, wire)
            return None
        return head

    async def _next_head(self) -> Head | None:
        """The next request's head; None when the connection ends instead. Raises Problem.

        What has come of it does not make the wait longer: a slow head is as bad as none.
        """
        reader = self._reader
        searched = 0
        while reader.unread or await reader.more():
            if empty := EMPTY_LINES.match(reader.unread):
                reader.unread, searched = reader.unread[empty.end() :], 0
            end = reader.unread.find(END, searched)
            if end >= 0:
                raw, reader.unread = reader.unread[: end + 4], reader.unread[end + 4 :]
                return parse_head(raw)
            check_unfinished(reader.unread, self._config.h11_max_incomplete_size, self._limits)
            searched = max(0, len(reader.unread) - 3)
            if not await reader.more():
                break
        return None

    def _stop_waiting(self, wire: Wire) -> None:
        wire.close()

    async def _refuse(self, problem: Problem, head: Head, wire: Wire) -> None:
        """Answer in the application's place, and for the last time here."""
        self._be_busy()
        self._spoke_last = True
        refusal = self._refusals.of(problem, head.headers)
        await self._response(head, WireTransport(wire, "close"), wire, last=True).refuse(refusal)

    async def _serve_request(self, head: Head, wire: Wire, *, last: bool) -> bool:
        """Have it answered; whether another may follow."""
        framing: Framing = "chunked" if head.version == b"1.1" else "close"
        body = body_of(head)
        transport = WireTransport(wire, framing, body_is_here=body.is_in(self._reader.unread))
        exchange = HTTPExchange(
            head,
            body,
            self._reader,
            wire,
            transport,
            self._response(head, transport, wire, last=last),
            self._observer,
            self._refusals,
        )
        return await exchange.run(self._app, self._scopes.http(head, transport))

    def _websocket(self, head: Head, wire: Wire) -> WebSocket:
        transport = WireTransport(wire, "websocket")
        return WebSocket(
            head.all_of(b"sec-websocket-key"),
            self._scopes.websocket(head, transport),
            self._reader,
            wire,
            transport,
            self._response(head, transport, wire, last=True),
            self._connections,
            self._config,
            self._part_politely,
        )

    def _response(
        self, head: Head, transport: WireTransport, wire: Wire, *, last: bool
    ) -> ResponseWriter:
        leaving = self._context.terminated.is_set
        return ResponseWriter(head, wire, transport, self._connections.stamp, leaving, last=last)
