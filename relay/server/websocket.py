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
from .heads import Head
from .mailbox import Mailbox
from .messages import FRAMES_AT_ONCE
from .reader import Reader
from .responses import OutOfTurn
from .scopes import Scopes
from .transport import WireTransport
from .websocket_close import CloseHandshake
from .websocket_frames import Frames, Message, PeerClose, Pong, Violation
from .websocket_handshake import Handshake
from .websocket_states import State, Step, advanced
from .wire import Wire

Event = Any  # ASGI's: a dict

SLICE = 4_096
"""Bytes given to the parser before other tasks get their turn; tiny frames take several."""


class WebSocket:
    """A WebSocket on a connection, bounded in bytes and frames."""

    __slots__ = (
        "_close_handshake",
        "_decided",
        "_frames",
        "_handshake",
        "_lingers",
        "_mailbox",
        "_reader",
        "_scope",
        "_server",
        "_state",
        "_transport",
        "_wire",
    )

    def __init__(
        self, server: ServerContext, head: Head, scopes: Scopes, reader: Reader, wire: Wire
    ) -> None:
        self._server = server
        self._reader = reader
        self._wire = wire
        self._transport = transport = WireTransport(wire, "websocket")
        self._scope: Any = scopes.websocket(head, transport)
        self._handshake = Handshake(server, head, self._scope["subprotocols"], wire, transport)
        self._frames = Frames(server.limits, server.config.websocket_max_message_size)
        self._close_handshake = CloseHandshake(server.limits, self._frames, wire, transport)
        self._mailbox = Mailbox(server.config.max_app_queue_size)
        transport.let_hear(self._mailbox.forward)
        self._state = State.CONNECTING
        self._decided = trio.Event()  # handshake accepted, or connection ended
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

    def _advance(self, step: Step) -> None:
        self._state = advanced(self._state, step)

    # -- from the client

    async def _receive(self) -> None:
        """Read until either side closes or a deadline passes; then close the socket."""
        with self._wire.reading:
            while self._reader.unread or await self._reader.more():
                if not await self._take():
                    break
        self._advance(Step.END)
        self._transport.release()
        self._decided.set()
        await self._mailbox.put(self._close_handshake.disconnect())
        if self._lingers:
            await self._wire.lingering_close(self._server.limits)
        self._wire.close()

    async def _take(self) -> bool:
        """Handle the received bytes. False if they end the WebSocket."""
        # bytes sent before the handshake's answer wait here, and no more are read meanwhile
        await self._decided.wait()
        data = self._reader.take_all()
        for start in range(0, len(data), SLICE):
            if self._state is State.CLOSING and not self._close_handshake.may_discard(SLICE):
                return False
            if not await self._take_frames(data[start : start + SLICE]):
                return False
            await trio.lowlevel.checkpoint()
        return True

    async def _take_frames(self, data: bytes) -> bool:
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
                    self._advance(Step.END)
                    await self._close_handshake.answer(received)
                    return False
                case Violation(code):
                    # RFC 6455, 7.1.7: send the code, and close without waiting for an answer
                    self._advance(Step.END)
                    self._lingers = True
                    await self._close_handshake.start(code)
                    return False
            if not number % FRAMES_AT_ONCE:
                await trio.lowlevel.checkpoint()
        return True

    # -- from the application

    async def _send(self, event: Event) -> None:
        """ASGI's `send`. Raises OutOfTurn for an event that the state does not allow.

        Events that end the connection are shielded from cancellation: the resulting disconnect
        makes frameworks cancel the sending task.
        """
        match self._state, event["type"]:
            case State.OPEN, "websocket.send":
                await self._wire.send(self._frames.message(event))
            case State.CLOSING | State.CLOSED, _:
                await (
                    trio.lowlevel.checkpoint()
                )  # other tasks must run, even if the application only sends
            case State.CONNECTING, "websocket.accept":
                await self._accept(event)
            case State.CONNECTING, "websocket.close":
                with trio.CancelScope(shield=True):
                    await self._reject(Forbidden())
            case State.CONNECTING | State.REJECTING, "websocket.http.response.start":
                self._advance(Step.REJECT)
                with trio.CancelScope(shield=True):
                    await self._handshake.start_response(event["status"], event.get("headers", ()))
            case State.REJECTING, "websocket.http.response.body":
                more = event.get("more_body", False)
                with trio.CancelScope(shield=True):
                    await self._handshake.response_body(event.get("body", b""), more=more)
                if not more:
                    self._end_response()
            case State.OPEN, "websocket.close":
                code = event.get("code") or CloseReason.NORMAL_CLOSURE
                with trio.CancelScope(shield=True):
                    await self._start_close(code, event.get("reason"))
            case state, kind:
                raise OutOfTurn(f"{kind} while the WebSocket is {state.name}")

    async def _accept(self, event: Event) -> None:
        answer = self._handshake.acceptance(event.get("subprotocol"), event.get("headers", ()))
        self._advance(Step.ACCEPT)
        del self._handshake  # saves memory: idle WebSockets are many
        await self._wire.finish(answer)
        self._transport.open()
        self._decided.set()

    async def _reject(self, problem: Problem) -> None:
        """Answer the handshake in place of the application."""
        self._advance(Step.REJECT)
        await self._handshake.reject(problem)
        self._end_response()

    def _end_response(self) -> None:
        """Close the connection after a rejection."""
        self._lingers = True
        self._wire.hang_up()

    async def _start_close(self, code: int, reason: str | None = None) -> None:
        self._advance(Step.CLOSE)
        await self._close_handshake.start(code, reason)

    async def _application_returned(self) -> None:
        """Finish the handshake or the close if the application has not."""
        if self._state is State.OPEN:
            await self._start_close(CloseReason.INTERNAL_ERROR)
        elif self._state is State.CONNECTING or (
            self._state is State.REJECTING and not self._handshake.answered
        ):
            await self._reject(Internal())
        elif self._state is State.REJECTING:
            self._wire.hang_up()
