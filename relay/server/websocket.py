"""Serve one WebSocket, from its handshake to its close.

The application runs in the connection's task. A second task reads, so that pings and close frames
are answered in time. `websocket_states` has the state machine; `websocket_handshake`,
`websocket_frames` and `websocket_close` read and write the parts of the protocol.
"""

from typing import Any

import trio
from wsproto.frame_protocol import CloseReason

from relay.errors import Forbidden, Internal, Problem

from .context import ServerContext
from .handle import WireHandle
from .heads import Head
from .mailbox import Mailbox
from .messages import FRAMES_PER_TURN
from .reader import Reader
from .responses import UnexpectedMessage
from .scopes import Scopes
from .websocket_close import CloseHandshake
from .websocket_frames import Frames, Message, PeerClose, Pong, Violation
from .websocket_handshake import Handshake
from .websocket_states import WebSocketState, WebSocketStep, next_state
from .wire import Wire

Event = Any  # ASGI's: a dict

SLICE_BYTES = 4_096
"""Bytes given to the parser before other tasks get their turn; tiny frames take several."""


class WebSocket:
    """A WebSocket on a connection, bounded in bytes and frames."""

    __slots__ = (
        "_close_handshake",
        "_frames",
        "_handle",
        "_handshake",
        "_handshake_done",
        "_lingers",
        "_mailbox",
        "_reader",
        "_scope",
        "_server",
        "_state",
        "_wire",
    )

    def __init__(
        self, server: ServerContext, head: Head, scopes: Scopes, reader: Reader, wire: Wire
    ) -> None:
        self._server = server
        self._reader = reader
        self._wire = wire
        self._handle = handle = WireHandle(wire, "websocket")
        self._scope: Any = scopes.websocket(head, handle)
        self._handshake = Handshake(server, head, self._scope["subprotocols"], wire, handle)
        self._frames = Frames(server.limits, server.config.websocket_max_message_size)
        self._close_handshake = CloseHandshake(server.limits, self._frames, wire, handle)
        self._mailbox = Mailbox(server.config.max_app_queue_size)
        handle.enable_forwarding(self._mailbox.forward)
        self._state = WebSocketState.CONNECTING
        self._handshake_done = trio.Event()  # handshake accepted, or connection ended
        self._lingers = False  # the last bytes are being sent, and the client may still send

    async def run(self) -> None:
        """Serve it until the application has returned and the connection is closed."""
        await self._mailbox.put({"type": "websocket.connect"})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._receive)
            try:
                await self._server.app(self._scope, self._mailbox.receive, self._send)
            except* Exception as failures:
                self._server.observer.application_failed(failures)
            finally:
                self._mailbox.close()
            with trio.CancelScope(shield=True):
                await self._application_returned()

    def _advance(self, step: WebSocketStep) -> None:
        self._state = next_state(self._state, step)

    # -- from the client

    async def _receive(self) -> None:
        """Read until either side closes or a deadline passes; then close the socket."""
        with self._wire.reading:
            while self._reader.unread or await self._reader.more():
                if not await self._handle_received():
                    break
        self._advance(WebSocketStep.END)
        self._handle.release()
        self._handshake_done.set()
        await self._mailbox.put(self._close_handshake.disconnect())
        if self._lingers:
            await self._wire.lingering_close(self._server.limits)
        self._wire.close()

    async def _handle_received(self) -> bool:
        """Handle the received bytes. False if they end the WebSocket."""
        # bytes sent before the handshake's answer wait here, and no more are read meanwhile
        await self._handshake_done.wait()
        data = self._reader.take_all()
        for start in range(0, len(data), SLICE_BYTES):
            if self._state is WebSocketState.CLOSING and not self._close_handshake.may_discard(
                SLICE_BYTES
            ):
                return False
            if not await self._handle_frames(data[start : start + SLICE_BYTES]):
                return False
            await trio.lowlevel.checkpoint()
        return True

    async def _handle_frames(self, data: bytes) -> bool:
        """Handle the complete frames. False if they end the WebSocket."""
        for number, received in enumerate(self._frames.receive(data), 1):
            match received:
                case None:
                    pass
                case Message(event):
                    await self._mailbox.put(event)
                case Pong(frame):
                    await self._wire.send(frame)
                case PeerClose():
                    self._advance(WebSocketStep.END)
                    await self._close_handshake.answer(received)
                    return False
                case Violation(code):
                    # RFC 6455, 7.1.7: send the code, and close without waiting for an answer
                    self._advance(WebSocketStep.END)
                    self._lingers = True
                    await self._close_handshake.start(code)
                    return False
            if not number % FRAMES_PER_TURN:
                await trio.lowlevel.checkpoint()
        return True

    # -- from the application

    async def _send(self, event: Event) -> None:
        """ASGI's `send`. Raises UnexpectedMessage for an event that the state does not allow.

        Events that end the connection are shielded from cancellation: the resulting disconnect
        makes frameworks cancel the sending task.
        """
        match self._state, event["type"]:
            case WebSocketState.OPEN, "websocket.send":
                await self._wire.send(self._frames.message(event))
            case WebSocketState.CLOSING | WebSocketState.CLOSED, _:
                # Other tasks must run, even if the application only sends.
                await trio.lowlevel.checkpoint()
            case WebSocketState.CONNECTING, "websocket.accept":
                await self._accept(event)
            case WebSocketState.CONNECTING, "websocket.close":
                with trio.CancelScope(shield=True):
                    await self._reject(Forbidden())
            case (
                WebSocketState.CONNECTING | WebSocketState.REJECTING,
                "websocket.http.response.start",
            ):
                self._advance(WebSocketStep.REJECT)
                with trio.CancelScope(shield=True):
                    await self._handshake.start_response(event["status"], event.get("headers", ()))
            case WebSocketState.REJECTING, "websocket.http.response.body":
                more = event.get("more_body", False)
                with trio.CancelScope(shield=True):
                    await self._handshake.response_body(event.get("body", b""), more=more)
                if not more:
                    self._end_response()
            case WebSocketState.OPEN, "websocket.close":
                code = event.get("code") or CloseReason.NORMAL_CLOSURE
                with trio.CancelScope(shield=True):
                    await self._start_close(code, event.get("reason"))
            case state, kind:
                raise UnexpectedMessage(f"{kind} while the WebSocket is {state.name}")

    async def _accept(self, event: Event) -> None:
        answer = self._handshake.acceptance(event.get("subprotocol"), event.get("headers", ()))
        self._advance(WebSocketStep.ACCEPT)
        del self._handshake  # saves memory: idle WebSockets are many
        await self._wire.finish(answer)
        self._handle.open()
        self._handshake_done.set()

    async def _reject(self, problem: Problem) -> None:
        """Answer the handshake in place of the application."""
        self._advance(WebSocketStep.REJECT)
        await self._handshake.reject(problem)
        self._end_response()

    def _end_response(self) -> None:
        """Close the connection after a rejection."""
        self._lingers = True
        self._wire.stop_reading()

    async def _start_close(self, code: int, reason: str | None = None) -> None:
        self._advance(WebSocketStep.CLOSE)
        await self._close_handshake.start(code, reason)

    async def _application_returned(self) -> None:
        """Finish the handshake or the close if the application has not."""
        if self._state is WebSocketState.OPEN:
            await self._start_close(CloseReason.INTERNAL_ERROR)
        elif self._state is WebSocketState.CONNECTING or (
            self._state is WebSocketState.REJECTING and not self._handshake.answered
        ):
            await self._reject(Internal())
        elif self._state is WebSocketState.REJECTING:
            self._wire.stop_reading()
