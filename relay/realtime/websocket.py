"""The WebSocket transport: sends events and control messages, and bounds the client's messages."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import trio

from relay.events import rfc3339, utc_now
from relay.realtime.asgi_websocket import Socket, message_in
from relay.realtime.close_codes import Close
from relay.realtime.encoding import (
    Frame,
    array_frame,
    control_json,
    text_frame,
)
from relay.realtime.event_range import Stretch
from relay.realtime.transport import ClientLeft
from relay.server.transport import Transport

SUBPROTOCOL = "relay.v1"

MAX_CLIENT_MESSAGE = 4096  # the protocol needs no client messages, so none is large
MAX_CLIENT_MESSAGES = 10  # this many a second, and this many at once


class WebSocketDoor:
    """Writes to an accepted WebSocket.

    On Relay's own server, encoded frames are written directly and pongs show that the client is
    alive. On any other server messages go through ASGI one by one. Pongs cannot be seen there, so
    an idle client does not end the stream.
    """

    __slots__ = (
        "_allowance",
        "_asked_at",
        "_batched",
        "_handle",
        "_idle_timeout",
        "_judged_at",
        "_sent_at",
        "_unanswered_since",
        "_websocket",
        "heartbeat",
    )

    name = "websocket"

    def __init__(
        self,
        websocket: Socket,
        handle: Transport | None,
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
        self._asked_at = self._sent_at = self._judged_at = trio.current_time()
        self._allowance = float(MAX_CLIENT_MESSAGES)
        self._unanswered_since = float("-inf")  # time of the first ping without an answer

    def direct(self, frames: Sequence[Frame]) -> bool:
        if self._handle is None:
            return False
        written = self._handle.try_send(self._message(frames))
        if written:
            self._sent_at = trio.current_time()
        return written

    async def send(self, stretch: Stretch) -> None:
        if self._handle is None:
            for text in stretch.texts:
                await self._websocket.send(text.decode())
        else:
            data = stretch.array if self._batched else stretch.messages
            await self._handle.send_raw(data)
        self._sent_at = trio.current_time()

    def _message(self, frames: Sequence[Frame]) -> bytes:
        """Several events as one JSON array for a `relay.v1` client, else one message each."""
        if len(frames) == 1:
            return frames[0].websocket
        if self._batched:
            return array_frame([frame.json for frame in frames])
        return b"".join([frame.websocket for frame in frames])

    async def control(self, kind: str, **fields: Any) -> None:
        body = control_json(kind, fields)
        if self._handle is None:
            await self._websocket.send(body.decode())
        else:
            await self._handle.send_raw(text_frame(body))
        self._sent_at = trio.current_time()

    def _silent_since(self) -> float:
        """When the client last sent bytes, or was last pinged if that is later."""
        heard = 0.0 if self._handle is None else self._handle.last_received
        return max(self._asked_at, heard)

    def next_beat(self) -> float:
        silent_since = self._silent_since()
        if self._batched:
            silent_since = min(silent_since, self._sent_at)
        return silent_since + self.heartbeat

    async def beat(self) -> None:
        now = trio.current_time()
        if self._batched and now >= self._sent_at + self.heartbeat:
            # A script in a browser cannot see ping frames, so it gets a message.
            await self.control("ping", ts=rfc3339(utc_now()))
        if now >= self._silent_since() + self.heartbeat:
            self._asked_at = now
            if self._handle is not None:
                if self._handle.last_received >= self._unanswered_since:
                    self._unanswered_since = now
                await self._handle.ping()

    def idle_at(self) -> float:
        if self._handle is None:
            return float("inf")
        heard = self._handle.last_received
        if heard >= self._unanswered_since:
            return float("inf")  # every ping was answered; a long write may delay the next one
        answer_by = self._unanswered_since + self._idle_timeout - self.heartbeat
        return max(heard + self._idle_timeout, answer_by)

    def listen(self, end: Callable[[Close], None], nursery: trio.Nursery) -> None:
        if self._handle is None or not self._handle.hear(partial(self._hear, end)):
            nursery.start_soon(self._listen, end)

    def _hear(self, end: Callable[[Close], None], event: Any) -> None:
        try:
            if (message := message_in(event)) is not None:
                self._judge(message, end)
        except ClientLeft:
            end(Close.GONE)

    async def _listen(self, end: Callable[[Close], None]) -> None:
        try:
            while True:
                self._judge(await self._websocket.receive(), end)
        except ClientLeft:
            end(Close.GONE)

    def _judge(self, message: str | bytes, end: Callable[[Close], None]) -> None:
        """Discard a client's message; end the stream if it is too large or exceeds the rate."""
        now = trio.current_time()
        regained = (now - self._judged_at) * MAX_CLIENT_MESSAGES
        self._allowance = min(MAX_CLIENT_MESSAGES, self._allowance + regained)
        self._judged_at = now
        if len(_bytes(message)) > MAX_CLIENT_MESSAGE:
            end(Close.MESSAGE_TOO_BIG)
        if self._allowance < 1:
            end(Close.TOO_MANY_MESSAGES)
        self._allowance -= 1

    async def close(self, close: Close, reason: str) -> None:
        await self._websocket.close(close.code, reason)
        with suppress(ClientLeft):
            while True:  # until the client answers the close frame
                await self._websocket.receive()

    def cut(self) -> Close:
        if self._handle is None:
            return Close.GONE
        stalled = self._handle.stalled
        self._handle.abort()
        return Close.STALLED if stalled else Close.GONE


def _bytes(message: str | bytes) -> bytes:
    return message.encode() if isinstance(message, str) else message
