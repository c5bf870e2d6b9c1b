"""Run the ASGI application for one request, and write its response."""

from contextlib import suppress
from typing import Any

import trio

from relay.errors import BadRequest, Internal

from .client_socket import MAX_RECV_BYTES
from .context import ServerContext
from .framing import body_reader
from .handle import Framing, WireHandle
from .heads import Head
from .held import HeldCall
from .reader import Reader
from .responses import CONTINUE, HeldResponse, ResponseWriter, UnexpectedMessage
from .scopes import Scopes
from .wire import Wire

Event = Any  # ASGI's: a dict

DISCONNECT = {"type": "http.disconnect"}


class HTTPExchange:
    """Runs the application for one request, in the connection's own task.

    It reads from the socket only when the application receives: the body, and after that until
    the disconnect. It buffers no writes: `send` returns when the socket has taken the bytes.

    `anew` is the held call whose response this request makes anew, if it does.
    """

    __slots__ = (
        "_body",
        "_body_delivered",
        "_continue_due",
        "_handle",
        "_head",
        "_held",
        "_reader",
        "_receive_scope",
        "_response",
        "_scope",
        "_server",
        "_wire",
    )

    def __init__(
        self,
        server: ServerContext,
        head: Head,
        scopes: Scopes,
        reader: Reader,
        wire: Wire,
        *,
        last: bool,
        anew: HeldCall | None = None,
    ) -> None:
        framing: Framing = "chunked" if head.version == b"1.1" else "close"
        self._server = server
        self._head = head
        self._reader = reader
        self._wire = wire
        self._body = body = body_reader(head)
        whole = reader.has_whole(body)
        self._continue_due = not whole and _waits_for_continue(head)
        self._handle = WireHandle(
            wire, framing, has_whole_body=whole, waits_for_continue=self._continue_due
        )
        self._response = ResponseWriter(server, head, wire, self._handle, last=last)
        self._scope: Any = scopes.http(head, self._handle)  # a dict, where Hypercorn has TypedDicts
        if anew is not None:
            self._scope.update(anew.scope)
        self._held: HeldResponse | None = None
        self._body_delivered = False  # the application has received its last event
        self._receive_scope: trio.CancelScope | None = None

    async def run(self) -> bool | HeldResponse:
        """Run the application. Returns whether the connection can serve another request.

        Or it returns a response that is held, whose call belongs to the caller from then on.
        """
        server, response = self._server, self._response
        held: HeldResponse | None = None
        try:
            await server.app(self._scope, self._receive, self._send)
            if (held := self._held) is not None:
                self._handle.hand_over_held()
        except* Exception as failures:
            server.observer.application_failed(failures)
        finally:
            self._handle.release()
        if held is not None:
            return held
        gone = self._reader.ended or self._wire.ended  # then no response is needed
        if not (response.written or gone):
            await response.refuse(server.refusals.of(Internal(), self._head.headers))
        elif not response.done and self._handle.framing == "close":
            self._wire.abort()  # an ordinary end would be the end of the body
        return response.done and not response.last and self._body.complete

    async def _receive(self) -> Event:
        if self._response.done:
            await trio.lowlevel.checkpoint()
            return DISCONNECT.copy()
        try:
            while not self._body_delivered:
                data = self._take()
                if data or self._body.complete:
                    self._body_delivered = self._body.complete
                    more = not self._body_delivered
                    return {"type": "http.request", "body": data, "more_body": more}
                if self._continue_due:
                    self._continue_due = False
                    # After the response's head it would be a part of the response's body.
                    if not self._response.written:
                        await self._wire.send(CONTINUE)
                if not await self._wait_for_bytes():
                    return DISCONNECT.copy()
        except BadRequest as problem:
            if not self._response.written:
                await self._response.refuse(self._server.refusals.of(problem, self._head.headers))
            return DISCONNECT.copy()
        with trio.CancelScope() as self._receive_scope:
            await self._reader.wait_for_end()
        return DISCONNECT.copy()

    async def _wait_for_bytes(self) -> bool:
        """Wait for bytes; False if the client disconnects, or the response is completed."""
        with trio.CancelScope() as self._receive_scope:
            if self._reader.unread >= MAX_RECV_BYTES:
                # Pipelined bytes are bounded. A write detects that the client has left.
                await trio.sleep_forever()
            return await self._reader.more_of_body(self._body)
        return False

    def _take(self) -> bytes:
        """Take the body's bytes that have arrived."""
        body = self._reader.take_body(self._body)
        if body:
            self._continue_due = False  # the client did not wait for `100 Continue`
        return body

    async def _send(self, event: Event) -> None:
        response = self._response
        if response.done or self._wire.ended:
            # Other tasks must run, even if the application only sends.
            await trio.lowlevel.checkpoint()
        elif event["type"] == "http.response.body":
            more = event.get("more_body", False)
            if not (more or self._body.complete):
                self._discard_body()
            data, call = event.get("body", b""), self._handle.held
            if call is None or more or response.written:
                await response.body(data, more=more)
            else:
                self._held = response.hold(call, self._head, data)
            if response.done and self._receive_scope is not None:
                self._receive_scope.cancel()
        elif event["type"] == "http.response.start":
            await response.start(event["status"], event.get("headers", ()))
        else:
            raise UnexpectedMessage(f"{event['type']} is not part of a response")

    def _discard_body(self) -> None:
        """After the response: drop the body's bytes. If more are to come, close the connection."""
        with suppress(BadRequest):
            self._take()
        if not self._body.complete:
            self._response.mark_last()


def _waits_for_continue(head: Head) -> bool:
    return (
        b"expect" in head
        and head.version == b"1.1"
        and head.all_of(b"expect").lower() == b"100-continue"
    )
