"""Hypercorn's WebSocket, bounded in bytes and ended as RFC 6455 says."""

from time import time
from typing import Any

import trio
from hypercorn.protocol.events import Body, Data, EndBody, Event, Response, StreamClosed
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream
from hypercorn.typing import ASGISendEvent, ResponseSummary, WebsocketAcceptEvent
from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.frame_protocol import CloseReason

from .bounds import GuardLimits
from .messages import FRAMES_AT_ONCE, FrameRate, MessageBuffer, MessageTooBig
from .refusals import Refusals
from .transport import WireTransport
from .wire import Wire

SLICE = 4_096
"""Bytes handed to the parser before others get their turn; tiny frames take several."""


class GuardedWSStream(WSStream):
    """One WebSocket, from its handshake to the answer to its close frame."""

    def __init__(
        self,
        *args: Any,
        wire: Wire,
        transport: WireTransport,
        limits: GuardLimits,
        refusals: Refusals,
    ) -> None:
        super().__init__(*args)
        self._wire = wire
        self._transport = transport
        self._limits = limits
        self._refusals = refusals
        self._decided = trio.Event()
        self._message = MessageBuffer(self.config.websocket_max_message_size)
        self._discarded = 0
        self._rate = FrameRate(limits)
        self._close_code = int(CloseReason.ABNORMAL_CLOSURE)

    async def handle(self, event: Event) -> None:
        if self.closed:
            return
        if isinstance(event, (Body, Data)):
            await self._receive(event.data)
        elif isinstance(event, StreamClosed):
            self.closed = True
            self._transport.release()
            self._decided.set()
            if self.app_put is not None:
                await self.app_put({"type": "websocket.disconnect", "code": self._close_code})
        else:
            await super().handle(event)

    async def app_send(self, message: ASGISendEvent | None) -> None:
        sends = message is not None and message["type"] == "websocket.send"
        if self.closed or (sends and self.state is ASGIWebsocketState.CLOSED):
            await trio.lowlevel.checkpoint()  # a loop that only sends must not hold the others up
            return
        if self.state is ASGIWebsocketState.CONNECTED and not self.handshake.accepted:
            self.state = ASGIWebsocketState.HANDSHAKE  # it was accepted wrongly: not at all
        if sends:
            await super().app_send(message)
            return
        # What opens or ends the connection is done whole, even when the application is
        # cancelled meanwhile, as quart-trio is by the disconnect that the end brings.
        with trio.CancelScope(shield=True):
            if message is None:
                await self._application_returned()
            elif (
                message["type"] == "websocket.close" and self.state is ASGIWebsocketState.CONNECTED
            ):
                code = message.get("code")
                await self._say_close(code or CloseReason.NORMAL_CLOSURE, message.get("reason"))
            else:
                await super().app_send(message)
                if self.state is ASGIWebsocketState.HTTPCLOSED:
                    await self.send(StreamClosed(self.stream_id))

    async def _application_returned(self) -> None:
        if self.state is ASGIWebsocketState.CONNECTED:
            await self._say_close(CloseReason.INTERNAL_ERROR)
        elif self.state is not ASGIWebsocketState.CLOSED:
            await super().app_send(None)

    async def _accept(self, message: WebsocketAcceptEvent) -> None:
        self.handshake.extensions = None  # none: a compressed message is a bomb, and 100 KB
        await super()._accept(message)
        self._transport.open()
        self._decided.set()

    async def _receive(self, data: bytes) -> None:
        """Take bytes of the client; returns when the application has room for more."""
        # A client that does not wait for the answer to its handshake waits here, and with it
        # its connection's reading, so that nothing piles up.
        await self._decided.wait()
        for start in range(0, len(data), SLICE):
            if self.closed:
                return
            if self.state is ASGIWebsocketState.CLOSED:
                self._discarded += SLICE
                if self._discarded > self._limits.max_discarded:
                    self._wire.hang_up()
                    return
            self.connection.receive_data(data[start : start + SLICE])
            await self._handle_events()
            await trio.lowlevel.checkpoint()

    async def _handle_events(self) -> None:
        for number, event in enumerate(self.connection.events(), 1):
            if not number % FRAMES_AT_ONCE:
                await trio.lowlevel.checkpoint()
            if isinstance(event, CloseConnection):
                await self._close_received(event)
                return
            if not self._rate.admits():
                await self._fail(CloseReason.POLICY_VIOLATION)
                return
            if self.state is ASGIWebsocketState.CLOSED:
                continue  # we said close: only the answer counts
            if isinstance(event, Ping):
                await self._send_wsproto_event(event.response())
            elif isinstance(event, (TextMessage, BytesMessage)):
                try:
                    message = self._message.add(event)
                except MessageTooBig:
                    await self._fail(CloseReason.MESSAGE_TOO_BIG)
                    return
                if message is not None and self.app_put is not None:
                    await self.app_put(message)

    async def _close_received(self, event: CloseConnection) -> None:
        if self.connection.state is ConnectionState.REMOTE_CLOSING:
            self._wire.finished = True
            self._transport.shut()
            self._close_code = int(event.code)
            await self._send_wsproto_event(event.response())
            self.state = ASGIWebsocketState.CLOSED
            await self.send(StreamClosed(self.stream_id))
        elif self.connection.state is ConnectionState.CLOSED:
            self._wire.finished = True
            await self.send(StreamClosed(self.stream_id))
        else:  # wsproto's word for bytes that are no frames
            await self._fail(CloseReason(event.code))

    async def _fail(self, code: CloseReason) -> None:
        """Fail the connection (RFC 6455, 7.1.7): say why, and end it without an answer."""
        self._transport.shut()
        self._close_code = int(code)
        self._wire.hang_up(within=self._limits.close_timeout)
        await self._send_wsproto_event(CloseConnection(code))
        self.state = ASGIWebsocketState.CLOSED
        await self.send(StreamClosed(self.stream_id))

    async def _say_close(self, code: int, reason: str | None = None) -> None:
        """Send our close frame, and give the client a moment to answer it.

        Closing the socket over unread bytes would reset it, and the code might never arrive.
        """
        self.state = ASGIWebsocketState.CLOSED
        self._transport.shut()
        self._close_code = int(code)
        self._wire.hang_up(within=self._limits.close_timeout)  # also if the frame does not go out
        await self._send_wsproto_event(CloseConnection(int(code), reason))

    async def _send_error_response(self, status_code: int) -> None:
        """Refuse the handshake in the application's place."""
        refusal = self._refusals.of_status(status_code, self.scope["headers"])
        await self.send(Response(self.stream_id, refusal.headers, status_code))
        await self.send(Body(self.stream_id, refusal.body))
        await self.send(EndBody(self.stream_id))
        summary: ResponseSummary = {"status": status_code, "headers": refusal.headers}
        await self.config.log.access(self.scope, summary, time() - self.start_time)
