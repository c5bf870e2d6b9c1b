"""Serve one connection, from the accepted socket to its close.

It speaks HTTP/1.1, HTTP/1.0 and the upgrade to a WebSocket; HTTP/2 is left to a proxy. For each
request it parses the head and runs the application in the connection's own task, without a
nursery or a queue. It reads from the socket only when the application receives. While a response
is held, the connection waits without the application. A failure ends its own connection and no
other.
"""

from collections.abc import Awaitable

import trio
from hypercorn.utils import parse_socket_addr

from relay.errors import Problem

from .client_socket import ClientSocket
from .context import ServerContext
from .handle import WireHandle
from .heads import Head, parse_head
from .held import HeldCall
from .http_exchange import HTTPExchange
from .reader import Reader
from .repeated_heads import LastHead
from .responses import HeldResponse, ResponseWriter
from .scopes import Address, Scopes
from .screening import screen, wants_websocket
from .websocket import WebSocket
from .wire import Wire, lingering_close

UNREADABLE = Head(b"GET", b"/", b"1.1", [])
"""The head that is assumed when an unparsable request is answered."""


def serve_connection(server: ServerContext, client: ClientSocket) -> Awaitable[None]:
    """Serve an accepted connection until its end, or refuse it if there are too many.

    The returned awaitable raises nothing but cancellations. The caller closes the socket if it is
    still open then.
    """
    if server.connections.make_room():
        return Connection(server, client).run()
    return _reject_over_capacity(server, client)


async def _reject_over_capacity(server: ServerContext, client: ClientSocket) -> None:
    """Answer 503, in bounded time and for a bounded number of connections at a time."""
    server.observer.connection_refused()
    if client.is_secure or not server.connections.begin_refusal():
        return
    limits = server.limits
    try:
        client.write(server.refusals.overloaded(retry_after=1))  # a new socket has room for it
        await lingering_close(
            client, timeout=limits.refusal_timeout, max_discarded=limits.max_discarded
        )
    except OSError:
        pass  # the client left before the answer
    finally:
        server.connections.end_refusal()


class Connection:
    """An admitted connection."""

    __slots__ = ("_last_head", "_lingers", "_reader", "_served", "_server", "_socket", "_wire")

    def __init__(self, server: ServerContext, client: ClientSocket) -> None:
        self._server = server
        self._socket = client
        self._wire = Wire(client, server.limits.send_timeout, server.connections.spawn)
        self._reader = Reader(client, self._wire)
        self._last_head = LastHead()
        self._served = 0  # requests
        self._lingers = False  # True: the last answer is being sent, and the client may be sending

    async def run(self) -> None:
        """Serve it until its end. Raises nothing but cancellations."""
        server = self._server
        server.connections.add(self)
        server.connections.start_waiting(self)  # also for the end of its handshake
        try:
            if await self._do_handshake():
                await self._serve()
        except* Exception as failures:
            server.observer.connection_failed(failures)
        finally:
            server.connections.remove(self)

    @property
    def is_idle(self) -> bool:
        """Whether it is between two requests, and nothing of the next one has come."""
        return self._served > 0 and not self._reader.has_input()

    def close(self) -> None:
        """Close the connection while it waits for a request."""
        self._wire.close()

    def abort(self) -> None:
        """Reset the connection. Pending writes return; the application sees the disconnect."""
        self._wire.abort()

    async def _do_handshake(self) -> bool:
        """Do the TLS handshake, if there is one. Returns whether it succeeded in time."""
        if self._socket.is_secure:
            try:
                with trio.fail_after(self._server.config.ssl_handshake_timeout):
                    await self._socket.do_handshake()
            except (OSError, trio.ClosedResourceError, trio.TooSlowError):
                return False
        return True

    async def _serve(self) -> None:
        """Serve requests one after the other, then a WebSocket if one is opened, then close."""
        try:
            addresses = self._addresses()
            if addresses is None:
                return
            websocket = await self._serve_requests(self._scopes(*addresses))
            if websocket is not None:
                await websocket.run()
            elif self._lingers:
                await self._wire.lingering_close(self._server.limits)
        finally:
            self._close_socket()

    def _addresses(self) -> tuple[Address, Address] | None:
        """The client's address and ours; None if the client has disconnected already."""
        try:
            family, client, address = self._socket.addresses()
        except OSError:
            return None
        return parse_socket_addr(family, client), parse_socket_addr(family, address)

    def _scopes(self, client: Address, address: Address) -> Scopes:
        server, root_path = self._server, self._server.config.root_path
        secure = self._socket.is_secure
        return Scopes(client, address, server.lifespan_state, root_path=root_path, secure=secure)

    async def _serve_requests(self, scopes: Scopes) -> WebSocket | None:
        """Serve requests in order, until the end (None) or the handshake of a WebSocket."""
        server = self._server
        while (head := await self._admitted_head()) is not None:
            if wants_websocket(head):
                return WebSocket(server, head, scopes, self._reader, self._wire)
            self._served += 1
            last = head.is_last or self._served >= server.config.keep_alive_max_requests
            outcome = await self._exchange(head, scopes, last=last).run()
            del head  # not kept while the connection rests
            while isinstance(outcome, HeldResponse):
                outcome = await self._end_held(outcome, scopes)
            if not outcome or server.stopping.is_set():
                self._lingers = True
                return None
            server.connections.start_waiting(self)
            await self._reader.checkpoint_if_useful()
        return None

    def _exchange(
        self, head: Head, scopes: Scopes, *, last: bool, anew: HeldCall | None = None
    ) -> HTTPExchange:
        reader, wire = self._reader, self._wire
        return HTTPExchange(self._server, head, scopes, reader, wire, last=last, anew=anew)

    async def _end_held(self, held: HeldResponse, scopes: Scopes) -> bool | HeldResponse:
        """Wait with a held response. Then send it, or run its request anew, if that is needed."""
        sent = False
        try:
            sent = not await held.call.wait(self._reader.wait_for_end)
        finally:
            held.call.finish(sent=sent)
        if sent:
            return await held.send(self._server, self._wire)
        head = parse_head(held.request)
        return await self._exchange(head, scopes, last=held.last, anew=held.call).run()

    async def _admitted_head(self) -> Head | None:
        """The next request for the application; None if there is none, or it was refused."""
        server, head = self._server, None
        max_head = server.config.h11_max_incomplete_size
        try:
            raw = await self._reader.take_head(max_head, server.limits)
            server.connections.stop_waiting(self)
            if raw is not None and (head := self._last_head.recall(raw)) is None:
                head = parse_head(raw)
                if problem := screen(head, server.config, server.limits):
                    raise problem
                self._last_head.remember(raw, head)
        except Problem as problem:
            await self._refuse(problem, head or UNREADABLE)
            return None
        return head

    async def _refuse(self, problem: Problem, head: Head) -> None:
        """Answer in place of the application. This answer is the connection's last."""
        self._server.connections.stop_waiting(self)
        self._lingers = True
        handle = WireHandle(self._wire, "close")
        response = ResponseWriter(self._server, head, self._wire, handle, last=True)
        await response.refuse(self._server.refusals.of(problem, head.headers))

    def _close_socket(self) -> None:
        self._wire.close()
        if self._wire.stalled:
            self._server.observer.connection_stalled()
