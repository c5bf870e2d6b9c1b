"""Parse and make a WebSocket's frames (RFC 6455, 5). No I/O.

wsproto does both. This adds the bounds on frames and message sizes.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from hypercorn.typing import WebsocketReceiveEvent
from wsproto.frame_protocol import CloseReason, Frame, FrameProtocol, Opcode, ParseFailed

from .limits import ConnectionLimits
from .messages import FrameRateLimit, MessageBuffer, MessageTooBig


class Message(msgspec.Struct, frozen=True):
    """A complete message, as ASGI's event."""

    event: WebsocketReceiveEvent


class Pong(msgspec.Struct, frozen=True):
    """The answer to a ping; `frame` is to be sent."""

    frame: bytes


class PeerClose(msgspec.Struct, frozen=True):
    """The client's close frame. `frame` is the answer to send; None if it answers ours."""

    code: int
    frame: bytes | None


class Violation(msgspec.Struct, frozen=True):
    """The client violated the protocol or a bound. Close the connection with this code."""

    code: CloseReason


Received = Message | Pong | PeerClose | Violation | None


class Frames:
    """Both directions of one WebSocket after its handshake, without extensions."""

    __slots__ = ("_close_sent", "_message", "_protocol", "_rate")

    def __init__(self, limits: ConnectionLimits, max_message: int) -> None:
        # not wsproto's `Connection`, which adds a queue of events: 1 KiB for each idle WebSocket
        self._protocol = FrameProtocol(client=False, extensions=[])
        self._message = MessageBuffer(max_message)
        self._rate = FrameRateLimit(limits)
        self._close_sent = False

    def message(self, event: dict[str, Any]) -> bytes:
        """The frame of ASGI's `websocket.send`. Raises TypeError if that has no message."""
        if event.get("bytes") is not None:
            return bytes(self._protocol.send_data(bytes(event["bytes"])))
        if isinstance(event.get("text"), str):
            return bytes(self._protocol.send_data(event["text"]))
        raise TypeError("a message has bytes, or text that is a str")

    def close(self, code: int, reason: str | None) -> bytes:
        """A close frame; empty if one was sent before."""
        if self._close_sent:
            return b""
        frame = bytes(self._protocol.close(int(code), reason))
        self._close_sent = True
        return frame

    def receive(self, data: bytes) -> Iterator[Received]:
        """Parse the client's bytes, frame by frame; None for a frame that needs no action.

        After a PeerClose or a Violation the caller must stop reading. After our own close frame,
        only these two are returned.
        """
        self._protocol.receive_bytes(data)
        try:
            for frame in self._protocol.received_frames():
                yield self._received(frame)
        except ParseFailed as failure:
            yield Violation(CloseReason(failure.code))

    def _received(self, frame: Frame) -> Received:
        payload: Any = frame.payload  # a close frame's is a tuple
        if frame.opcode is Opcode.CLOSE:
            return self._peer_close(*payload)
        if not self._rate.admits():
            return Violation(CloseReason.POLICY_VIOLATION)
        if self._close_sent or frame.opcode is Opcode.PONG:
            return None
        if frame.opcode is Opcode.PING:
            return Pong(bytes(self._protocol.pong(payload)))
        try:
            message = self._message.add(payload, is_last=frame.message_finished)
        except MessageTooBig:
            return Violation(CloseReason.MESSAGE_TOO_BIG)
        return None if message is None else Message(message)

    def _peer_close(self, code: int, reason: str) -> PeerClose:
        if self._close_sent:
            return PeerClose(int(code), None)
        self._close_sent = True
        return PeerClose(int(code), bytes(self._protocol.close(code, reason)))
