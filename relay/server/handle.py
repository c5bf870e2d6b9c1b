"""An ASGI extension: direct access to the connection, for applications that write many frames."""

from collections.abc import Callable
from typing import Any, Literal, Protocol

import trio

from .held import HeldCall
from .wire import Wire

HANDLE_EXTENSION = "relay.handle"
"""The key of the ConnectionHandle in `scope["extensions"]`."""

Framing = Literal["websocket", "chunked", "close"]
EventCallback = Callable[[Any], None]

PING_OPCODE = 0x89  # a final frame with the opcode for ping (RFC 6455, 5.2)
MAX_CONTROL_PAYLOAD_BYTES = 125  # bytes (RFC 6455, 5.5)


class ConnectionHandle(Protocol):
    """The connection of one request or WebSocket, to which framed bytes can be written.

    It is open from the accepted handshake, or the start of the response, to the end of either. A
    response with a Content-Length does not open it: its bytes are counted.
    """

    @property
    def framing(self) -> Framing:
        """How written bytes must be framed: WebSocket frames, HTTP/1.1 chunks, or not at all."""

    @property
    def last_received(self) -> float:
        """When the client last sent bytes, pongs included, in seconds of trio's clock."""

    @property
    def stalled(self) -> bool:
        """Whether the connection was cut because a write made no progress for the send timeout."""

    @property
    def has_whole_body(self) -> bool:
        """Whether the next `receive` returns the request's whole body at once.

        The body arrived with the head then, or behind an earlier request. False if this is not
        known.
        """

    @property
    def waits_for_continue(self) -> bool:
        """Whether the client waits for `100 Continue` before it sends the body (RFC 9110, 10.1.1).

        The server sends it when the application receives the body.
        """

    def try_send(self, data: bytes) -> bool:
        """Write framed bytes without waiting, if no other write is running.

        If the socket takes only a part, the rest is written before anything else. Returns False if
        nothing was written, as always while it is not open; then use `send_raw`.
        """

    async def send_raw(self, data: bytes) -> None:
        """Write framed bytes after all earlier ones, as long as the reader makes progress.

        Does nothing after the end. Raises RuntimeError before it is open.
        """

    async def ping(self, payload: bytes = b"") -> None:
        """Write a WebSocket ping frame. Raises RuntimeError on HTTP."""

    def forward_events(self, on_event: EventCallback) -> bool:
        """Pass all of a WebSocket's ASGI events to `on_event` from now on, queued ones first.

        It is called in the task that reads the socket, so it must be quick and must not raise.
        `receive` then returns only the disconnect. Returns False for HTTP, which has to `receive`.
        """

    def hold(self, call: HeldCall) -> None:
        """Hold the response that follows, until `call.wait` returns; once a request.

        The server owns the call from now on. The application sends the response and returns. It
        needs a Content-Length and comes in one message: another one is sent at once.
        """

    def abort(self) -> None:
        """Reset the connection. Pending writes return; the application sees the disconnect."""


class WireHandle(ConnectionHandle):
    """The ConnectionHandle of a Wire, for one request.

    Each request has its own, so that an application cannot write into the next response.
    """

    __slots__ = (
        "_forward",
        "_framing",
        "_has_whole_body",
        "_held",
        "_opened",
        "_released",
        "_waits_for_continue",
        "_wire",
    )

    def __init__(
        self,
        wire: Wire,
        framing: Framing,
        *,
        has_whole_body: bool = False,
        waits_for_continue: bool = False,
    ) -> None:
        self._wire = wire
        self._framing = framing
        self._has_whole_body = has_whole_body
        self._waits_for_continue = waits_for_continue
        self._opened: bool | None = None  # None until open() and False after shut()
        self._released = False
        self._forward: Callable[[EventCallback], None] | None = None
        self._held: HeldCall | None = None

    @property
    def framing(self) -> Framing:
        return self._framing

    @property
    def has_whole_body(self) -> bool:
        return self._has_whole_body

    @property
    def waits_for_continue(self) -> bool:
        return self._waits_for_continue

    @property
    def last_received(self) -> float:
        return self._wire.last_received

    @property
    def stalled(self) -> bool:
        return self._wire.stalled

    def open(self) -> None:
        """Allow the application to write."""
        if self._opened is None:
            self._opened = True

    def enable_forwarding(self, forward: Callable[[EventCallback], None]) -> None:
        """Enable `forward_events`, which calls `forward` with the function it is given."""
        self._forward = forward

    def shut(self) -> None:
        """Allow no more writes: the end of the response or WebSocket is about to be written."""
        self._opened = False

    @property
    def held(self) -> HeldCall | None:
        """The call whose response is to be held."""
        return self._held

    def hand_over_held(self) -> None:
        """Leave the held call to the connection, which keeps it beyond this request."""
        self._held = None

    def release(self) -> None:
        """Detach from the connection: the request has ended."""
        self._opened = False
        self._released = True
        self._forward = None
        if self._held is not None:
            self._held.finish(sent=False)
            self._held = None

    def try_send(self, data: bytes) -> bool:
        return self._opened is True and self._wire.try_send(data)

    async def send_raw(self, data: bytes) -> None:
        if self._opened is None:
            raise RuntimeError("the response or WebSocket has not started")
        if self._opened:
            await self._wire.send(data)
        else:
            await trio.lowlevel.checkpoint()

    async def ping(self, payload: bytes = b"") -> None:
        if self._framing != "websocket":
            raise RuntimeError("only a WebSocket can be pinged")
        if len(payload) > MAX_CONTROL_PAYLOAD_BYTES:
            raise ValueError(f"a ping carries at most {MAX_CONTROL_PAYLOAD_BYTES} bytes")
        await self.send_raw(bytes((PING_OPCODE, len(payload))) + payload)

    def forward_events(self, on_event: EventCallback) -> bool:
        if self._forward is None:
            return False
        self._forward(on_event)
        return True

    def hold(self, call: HeldCall) -> None:
        if self._released or self._held is not None:
            raise RuntimeError("a response can be held once, and while its request is handled")
        self._held = call

    def abort(self) -> None:
        if not self._released:
            self._wire.abort()
