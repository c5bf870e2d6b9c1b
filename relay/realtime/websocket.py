"""The WebSocket transport: sends events and control messages, and bounds the client's messages."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import trio

from relay.events import rfc3339, utc_now
from relay.realtime.asgi_websocket import AsgiWebSocket, message_of
from relay.realtime.batch import Batch
from relay.realtime.close_codes import Close
from relay.realtime.encoding import control_json, text_frame
from relay.realtime.event_range import EventRange
from relay.realtime.transport import ClientLeft, abort_handle
from relay.server.handle import ConnectionHandle

SUBPROTOCOL = "relay.v1"

MAX_CLIENT_MESSAGE_BYTES = 4096  # the protocol needs no client messages, so none is large
MAX_CLIENT_MESSAGES_PER_SECOND = 10  # this many a second, and this many at once


class WebSocketTransport:
    """Writes to an accepted WebSocket.

    On Relay's own server, encoded frames are written directly and pongs show that the client is
    alive. On any other server messages go through ASGI one by one. Pongs cannot be seen there, so
    an idle client does not end the stream.
    """

    __slots__ = (
        "_allowance",
        "_allowance_at",
        "_batched",
        "_handle",
        "_idle_timeout",
        "_pinged_at",
        "_sent_at",
        "_unanswered_since",
        "_websocket",
        "heartbeat",
    )

    name = "websocket"

    def __init__(
        self,
        websocket: AsgiWebSocket,
        handle: ConnectionHandle | None,
        *,
        batched: bool,
        heartbeat: float,
        idle_timeout: float,
    ) -> None:
        self.heartbeat = heartbeat
        self._websocket = websocket
        self._handle = handle
        self._batched = batched  # the client offered the subprotocol `relay.v1`
        self._idle_timeout = idle_timeout
        self._pinged_at = self._sent_at = self._allowance_at = trio.current_time()
        self._allowance = float(MAX_CLIENT_MESSAGES_PER_SECOND)
        self._unanswered_since = float("-inf")  # time of the first ping without an answer

    def try_write(self, batch: Batch) -> bool:
        if self._handle is None:
            return False
        data = batch.array if self._batched else batch.messages
        written = self._handle.try_send(data)
        if written:
            self._sent_at = batch.at
        return written

    async def send(self, event_range: EventRange) -> None:
        if self._handle is None:
            for text in event_range.texts:
                await self._websocket.send(text.decode())
        else:
            data = event_range.array if self._batched else event_range.messages
            await self._handle.send_raw(data)
        self._sent_at = trio.current_time()

    async def send_control(self, kind: str, **fields: Any) -> None:
        await self.send_message(kind, control_json(kind, fields))

    async def send_message(self, _kind: str, body: bytes) -> None:
        if self._handle is None:
            await self._websocket.send(body.decode())
        else:
            await self._handle.send_raw(text_frame(body))
        self._sent_at = trio.current_time()

    def _silent_since(self) -> float:
        """When the client last sent bytes, or was last pinged if that is later."""
        received_at = 0.0 if self._handle is None else self._handle.last_received
        return max(self._pinged_at, received_at)

    def next_heartbeat_at(self) -> float:
        silent_since = self._silent_since()
        if self._batched:
            silent_since = min(silent_since, self._sent_at)
        return silent_since + self.heartbeat

    async def send_heartbeat(self) -> None:
        now = trio.current_time()
        if self._batched and now >= self._sent_at + self.heartbeat:
            # A script in a browser cannot see ping frames, so it gets a message.
            await self.send_control("ping", ts=rfc3339(utc_now()))
        if now >= self._silent_since() + self.heartbeat:
            self._pinged_at = now
            if self._handle is not None:
                if self._handle.last_received >= self._unanswered_since:
                    self._unanswered_since = now
                await self._handle.ping()

    def idle_deadline(self) -> float:
        if self._handle is None:
            return float("inf")
        received_at = self._handle.last_received
        if received_at >= self._unanswered_since:
            return float("inf")  # every ping was answered; a long write may delay the next one
        answer_by = self._unanswered_since + self._idle_timeout - self.heartbeat
        return max(received_at + self._idle_timeout, answer_by)

    def listen(self, end: Callable[[Close], None], nursery: trio.Nursery) -> None:
        if self._handle is None or not self._handle.forward_events(
            partial(self._on_asgi_event, end)
        ):
            nursery.start_soon(self._receive_messages, end)

    def _on_asgi_event(self, end: Callable[[Close], None], event: Any) -> None:
        try:
            if (message := message_of(event)) is not None:
                self._check_message(message, end)
        except ClientLeft:
            end(Close.GONE)

    async def _receive_messages(self, end: Callable[[Close], None]) -> None:
        try:
            while True:
                self._check_message(await self._websocket.receive(), end)
        except ClientLeft:
            end(Close.GONE)

    def _check_message(self, message: str | bytes, end: Callable[[Close], None]) -> None:
        """Discard a client's message; end the stream if it is too large or exceeds the rate."""
        now = trio.current_time()
        regained = (now - self._allowance_at) * MAX_CLIENT_MESSAGES_PER_SECOND
        self._allowance = min(MAX_CLIENT_MESSAGES_PER_SECOND, self._allowance + regained)
        self._allowance_at = now
        if len(_bytes(message)) > MAX_CLIENT_MESSAGE_BYTES:
            end(Close.MESSAGE_TOO_BIG)
        if self._allowance < 1:
            end(Close.TOO_MANY_MESSAGES)
        self._allowance -= 1

    async def close(self, close: Close, reason: str) -> None:
        await self._websocket.close(close.code, reason)
        with suppress(ClientLeft):
            while True:  # until the client answers the close frame
                await self._websocket.receive()

    def abort(self) -> Close:
        return abort_handle(self._handle)


def _bytes(message: str | bytes) -> bytes:
    return message.encode() if isinstance(message, str) else message
