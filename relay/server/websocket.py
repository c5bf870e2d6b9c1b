"""A WebSocket of the lean layer: bounded in bytes and frames, and ended as RFC 6455 says.

The application runs in the connection's task; another one reads, so that pings and closes are
answered in time whatever the application does.
"""

from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Any, cast

import trio
from hypercorn.config import Config
from hypercorn.typing import ASGIFramework
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, generate_accept_token

from .applications import Mailbox
from .connections import Connections
from .messages import FRAMES_AT_ONCE, FrameRate, MessageBuffer, MessageTooBig
from .reader import Reader
from .responses import Headers, OutOfTurn, ResponseWriter
from .scopes import Scope
from .stamp import header_line
from .transport import WireTransport
from .wire import Wire

Event = dict[str, Any]

SLICE = 4_096
"""Bytes handed to the parser before others get their turn; tiny frames take several."""


class State(Enum):
    ASKED = auto()  # the application has not said yet whether it accepts
    REFUSED = auto()  # it answers by HTTP instead
    OPEN = auto()
    CLOSING = auto()  # we said close, and wait for the answer
    OVER = auto()


class WebSocket:
    """One WebSocket, from its handshake to the answer to its close frame."""

    __slots__ = (
        "_close_code",
        "_decided",
        "_discarded",
        "_frames",
        "_limits",
        "_mailbox",
        "_message",
        "_observer",
        "_part",
        "_parts",
        "_rate",
        "_reader",
        "_refusal",
        "_refusals",
        "_scope",
        "_stamp",
        "_state",
        "_token",
        "_transport",
        "_wire",
    )

    def __init__(
        self,
        key: bytes,
        scope: Scope,
        reader: Reader,
        wire: Wire,
        transport: WireTransport,
        refusal: ResponseWriter,
        connections: Connections,
        config: Config,
        part: Callable[[], Awaitable[None]],
    ) -> None:
        self._token = generate_accept_token(key)
        self._scope = scope
        self._reader = reader
        self._wire = wire
        self._transport = transport
        self._refusal = refusal
        self._stamp = connections.stamp
        self._limits = connections.limits
        self._observer = connections.observer
        self._refusals = connections.refusals
        self._part = part
        self._state = State.ASKED
        self._decided = trio.Event()
        self._frames = Connection(ConnectionType.SERVER)
        self._rate = FrameRate(self._limits)
        self._message = MessageBuffer(config.websocket_max_message_size)
        self._mailbox = Mailbox(config.max_app_queue_size)
        transport.let_hear(self._mailbox.forward)
        self._discarded = 0
        self._close_code = int(CloseReason.ABNORMAL_CLOSURE)
        self._parts = False  # the last word was ours, and the peer may still be reading it

    async def run(self, app: ASGIFramework) -> None:
        """All of it; returns when the application has, and the connection is closed."""
        await self._mailbox.put({"type": "websocket.connect"})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen)
            try:
                await app(cast("Any", self._scope), self._mailbox.receive, cast("Any", self._send))
            except* Exception as failures:
                self._observer.application_failed(failures)
            finally:
                self._mailbox.close()
            with trio.CancelScope(shield=True):
                await self._application_returned()

    # -- what the client says

    async def _listen(self) -> None:
        """Read until one side, or patience, comes to its end; then part, and close."""
        with self._wire.reading:
            while self._reader.unread or await self._reader.more():
                if not await self._take():
                    break
        self._state = State.OVER
        self._transport.release()
        self._decided.set()
        await self._mailbox.put({"type": "websocket.disconnect", "code": self._close_code})
        if self._parts and not (self._wire.ended or self._reader.ended):
            await self._part()
        self._wire.close()

    async def _take(self) -> bool:
        """Handle the bytes that have come; False when they end it."""
        # A client that does not wait for the answer to its handshake waits here, and with it
        # its connection's reading, so that nothing piles up.
        await self._decided.wait()
        data, self._reader.unread = self._reader.unread, b""
        for start in range(0, len(data), SLICE):
            if self._state is State.CLOSING:
                self._discarded += SLICE
            if self._discarded > self._limits.max_discarded:
                return False
            self._frames.receive_data(data[start : start + SLICE])
            if not await self._take_frames():
                return False
            await trio.lowlevel.checkpoint()
        return True

    async def _take_frames(self) -> bool:
        """Handle what has come whole; False when it was the end."""
        for number, event in enumerate(self._frames.events(), 1):
            if not number % FRAMES_AT_ONCE:
                await trio.lowlevel.checkpoint()
            if isinstance(event, CloseConnection):
                await self._take_close(event)
                return False
            if not self._rate.admits():
                await self._fail(CloseReason.POLICY_VIOLATION)
                return False
            if self._state is State.CLOSING:
                continue  # only the answer to our close counts
            if isinstance(event, Ping):
                await self._wire.send(bytes(self._frames.send(event.response())))
            elif isinstance(event, TextMessage | BytesMessage):
                try:
                    message = self._message.add(event)
                except MessageTooBig:
                    await self._fail(CloseReason.MESSAGE_TOO_BIG)
                    return False
                if message is not None:
                    await self._mailbox.put(message)
        return True

    async def _take_close(self, event: CloseConnection) -> None:
        if self._frames.state is ConnectionState.CLOSED:  # it answered ours
            self._wire.finished = True
        elif self._frames.state is ConnectionState.REMOTE_CLOSING:
            self._wire.finished = True
            self._transport.shut()
            self._close_code = int(event.code)
            self._state = State.OVER
            await self._wire.finish(bytes(self._frames.send(event.response())))
        else:  # wsproto's word for bytes that are no frames
            await self._fail(CloseReason(event.code))

    async def _fail(self, code: CloseReason) -> None:
        """Fail the connection (RFC 6455, 7.1.7): say why, and end it without an answer."""
        self._parts = True
        await self._say_close(code)
        self._state = State.OVER

    # -- what the application says

    async def _send(self, event: Event) -> None:
        kind = event["type"]
        if kind == "websocket.send" and self._state is State.OPEN:
            await self._wire.send(_frame(self._frames, event))
        elif self._state in (State.CLOSING, State.OVER):
            await trio.lowlevel.checkpoint()  # a loop that only sends must not hold others up
        elif kind == "websocket.accept" and self._state is State.ASKED:
            await self._accept(event.get("subprotocol"), event.get("headers", ()))
        else:
            # What ends the connection is done whole, even when the application is cancelled
            # meanwhile, as frameworks are by the disconnect that the end brings.
            with trio.CancelScope(shield=True):
                await self._refuse_or_close(kind, event)

    async def _refuse_or_close(self, kind: str, event: Event) -> None:
        asked = self._state is State.ASKED
        if kind == "websocket.close" and asked:
            await self._refuse(403)
        elif kind == "websocket.close" and self._state is State.OPEN:
            code = event.get("code") or CloseReason.NORMAL_CLOSURE
            await self._say_close(code, event.get("reason"))
        elif kind == "websocket.http.response.start" and asked:
            await self._refusal.start(event["status"], event.get("headers", ()))
            self._state = State.REFUSED
        elif kind == "websocket.http.response.body" and self._state is State.REFUSED:
            more = event.get("more_body", False)
            await self._refusal.body(event.get("body", b""), more=more)
            if not more:
                self._stop_listening()
        else:
            raise OutOfTurn(f"{kind} while the WebSocket is {self._state.name}")

    async def _accept(self, subprotocol: str | None, headers: Headers) -> None:
        """Open it, whole: nothing waits but the write, and that is shielded by itself."""
        fields = [
            (b"upgrade", b"websocket"),
            (b"connection", b"Upgrade"),
            (b"sec-websocket-accept", self._token),
        ]
        if subprotocol is not None:
            if subprotocol not in self._scope["subprotocols"]:
                raise ValueError("a subprotocol is accepted that the client did not offer")
            fields.append((b"sec-websocket-protocol", subprotocol.encode()))
        for name, value in headers:
            if name.lower() in (b"sec-websocket-protocol", b"sec-websocket-extensions"):
                raise ValueError(f"{name!r} is not for the application to say")
            fields.append((name, value))
        lines = [header_line(name, value) for name, value in fields]
        answer = [b"HTTP/1.1 101 Switching Protocols\r\n", *lines, self._stamp.lines(), b"\r\n"]
        await self._wire.finish(b"".join(answer))
        self._state = State.OPEN
        self._transport.open()
        self._decided.set()

    async def _say_close(self, code: int, reason: str | None = None) -> None:
        """Send our close frame, and give the client a moment to answer it.

        Closing the socket over unread bytes would reset it, and the code might never arrive.
        """
        self._state = State.CLOSING
        self._transport.shut()
        self._close_code = int(code)
        self._wire.hang_up(within=self._limits.close_timeout)  # also if the frame does not go out
        try:
            frame = self._frames.send(CloseConnection(int(code), reason))
        except LocalProtocolError:
            return  # the client's own close came first
        await self._wire.finish(bytes(frame))

    async def _application_returned(self) -> None:
        """Whatever it has left unfinished is finished, or cut."""
        if self._state is State.ASKED or (
            self._state is State.REFUSED and not self._refusal.written
        ):
            await self._refuse(500)
        elif self._state is State.REFUSED:
            self._wire.hang_up()
        elif self._state is State.OPEN:
            await self._say_close(CloseReason.INTERNAL_ERROR)

    async def _refuse(self, status: int) -> None:
        """Refuse the handshake in the application's place."""
        refusal = self._refusals.of_status(status, self._scope["headers"])
        self._state = State.REFUSED
        await self._refusal.refuse(refusal)
        self._stop_listening()

    def _stop_listening(self) -> None:
        """The HTTP answer is complete, and the last one."""
        self._parts = True
        self._wire.hang_up()


def _frame(frames: Connection, event: Event) -> bytes:
    message: Message[Any]
    if event.get("bytes") is not None:
        message = BytesMessage(data=bytes(event["bytes"]))
    elif isinstance(event.get("text"), str):
        message = TextMessage(data=event["text"])
    else:
        raise TypeError("a message has bytes, or text that is a str")
    return bytes(frames.send(message))
