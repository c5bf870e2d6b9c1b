"""What ASGI cannot say about one connection, offered to the application."""

from collections.abc import Callable
from typing import Any, Literal, Protocol

import trio

from .wire import Wire

EXTENSION = "relay.transport"
"""The key in `scope["extensions"]` under which an application finds its Transport."""

Framing = Literal["websocket", "chunked", "close"]
Heard = Callable[[Any], None]

PING = 0x89  # a final frame with the opcode for ping (RFC 6455, 5.2)
MAX_CONTROL_PAYLOAD = 125  # bytes (RFC 6455, 5.5)


class Transport(Protocol):
    """The connection behind one request or WebSocket, for writers of ready bytes.

    Open from the moment the WebSocket is accepted or the response started, until either ends;
    for HTTP only when the response has no Content-Length, since then nothing counts its bytes.
    """

    @property
    def framing(self) -> Framing:
        """How ready bytes must be framed: WebSocket frames; HTTP/1.1 chunks; raw until close."""

    @property
    def last_received(self) -> float:
        """Trio clock seconds of the last bytes from the client, pongs included."""

    @property
    def stalled(self) -> bool:
        """Whether the connection was cut because no write progressed for the send timeout."""

    @property
    def body_is_here(self) -> bool:
        """Whether the next `receive` gives the request's whole body, without waiting for it.

        It came with the head then, so it is no longer than one read of the socket. False where
        the server did not look.
        """

    @property
    def waits_for_continue(self) -> bool:
        """Whether the client sends the request's body only after `100 Continue`.

        (RFC 9110, 10.1.1.) The server says it when the body is received.
        """

    def try_send(self, data: bytes) -> bool:
        """Write ready bytes at once, if nothing else is being written and the socket takes it.

        What the socket did not take of them is kept and written before anything else. Never
        blocks, never reorders. False: nothing was written, send them through the ordinary way.
        Always False under TLS and while the transport is not open.
        """

    async def send_raw(self, data: bytes) -> None:
        """Write ready bytes in order, as long as the reader makes progress.

        Does nothing after the end; raises RuntimeError when not opened yet.
        """

    async def ping(self, payload: bytes = b"") -> None:
        """Write a WebSocket ping frame. Raises RuntimeError on HTTP."""

    def hear(self, heard: Heard) -> bool:
        """Have a WebSocket's ASGI events given to `heard` as they come, from the first one on.

        It is called where the socket is read, so it must be quick and raise nothing. `receive`
        then returns the disconnect alone. False on HTTP: receive them.
        """

    def abort(self) -> None:
        """Drop the connection at once; pending writes return, the app sees the disconnect."""


class WireTransport(Transport):
    """A Transport on a Wire, for one exchange.

    One each request: an application that outlives its response must not touch the next.
    """

    __slots__ = (
        *("_forward", "_framing", "_opened", "_released"),
        *("_waits_for_continue", "_whole", "_wire"),
    )

    def __init__(
        self,
        wire: Wire,
        framing: Framing,
        *,
        body_is_here: bool = False,
        waits_for_continue: bool = False,
    ) -> None:
        self._wire = wire
        self._framing = framing
        self._whole = body_is_here
        self._waits_for_continue = waits_for_continue
        self._opened: bool | None = None  # None until open() and False after shut()
        self._released = False
        self._forward: Callable[[Heard], None] | None = None

    @property
    def framing(self) -> Framing:
        return self._framing

    @property
    def body_is_here(self) -> bool:
        return self._whole

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
        """From now on the application may write ready bytes."""
        if self._opened is None:
            self._opened = True

    def let_hear(self, forward: Callable[[Heard], None]) -> None:
        """There are events to be heard; `forward` takes the function that `hear` was given."""
        self._forward = forward

    def shut(self) -> None:
        """No more of them: the message that ends the exchange is about to be written."""
        self._opened = False

    def release(self) -> None:
        """The exchange is over, and the connection another one's."""
        self._opened = False
        self._released = True
        self._forward = None

    def try_send(self, data: bytes) -> bool:
        return self._opened is True and self._wire.try_send(data)

    async def send_raw(self, data: bytes) -> None:
        if self._opened is None:
            raise RuntimeError("ready bytes before the start of a stream they could be part of")
        if self._opened:
            await self._wire.send(data)
        else:
            await trio.lowlevel.checkpoint()

    async def ping(self, payload: bytes = b"") -> None:
        if self._framing != "websocket":
            raise RuntimeError("only a WebSocket can be pinged")
        if len(payload) > MAX_CONTROL_PAYLOAD:
            raise ValueError(f"a ping carries at most {MAX_CONTROL_PAYLOAD} bytes")
        await self.send_raw(bytes((PING, len(payload))) + payload)

    def hear(self, heard: Heard) -> bool:
        if self._forward is None:
            return False
        self._forward(heard)
        return True

    def abort(self) -> None:
        if not self._released:
            self._wire.abort()
