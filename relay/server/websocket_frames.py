"""Parse and make a WebSocket's frames (RFC 6455, 5). No I/O.

wsproto does both. This adds the bounds on frames and message sizes.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from hypercorn.typing import WebsocketReceiveEvent
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError

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

    __slots__ = ("_connection", "_message", "_rate")

    def __init__(self, limits: ConnectionLimits, max_message: int) -> None:
        self._connection = Connection(ConnectionType.SERVER)
        self._message = MessageBuffer(max_message)
        self._rate = FrameRateLimit(limits)

    def message(self, event: dict[str, Any]) -> bytes:
        """The frame of ASGI's `websocket.send`. Raises TypeError if that has no message."""
        if event.get("bytes") is not None:
            return self._connection.send(BytesMessage(data=bytes(event["bytes"])))
        if isinstance(event.get("text"), str):
            return self._connection.send(TextMessage(data=event["text"]))
        raise TypeError("a message has bytes, or text that is a str")

    def close(self, code: int, reason: str | None) -> bytes:
        """A close frame; empty if one was sent before."""
        try:
            return self._connection.send(CloseConnection(int(code), reason))
        except LocalProtocolError:
            return b""

    def receive(self, data: bytes) -> Iterator[Received]:
        """Parse the client's bytes, frame by frame; None for a frame that needs no action.

        After a PeerClose or a Violation the caller must stop reading. After our own close frame,
        only these two are returned.
        """
        self._connection.receive_data(data)
        for event in self._connection.events():
            yield self._received(event)

    def _received(self, event: Event) -> Received:
        if isinstance(event, CloseConnection):
            return self._peer_close(event)
        if not self._rate.admits():
            return Violation(CloseReason.POLICY_VIOLATION)
        if self._connection.state is not ConnectionState.OPEN:
            return None
        if isinstance(event, Ping):
            return Pong(self._connection.send(event.response()))
        if isinstance(event, TextMessage | BytesMessage):
            try:
                message = self._message.add(event)
            except MessageTooBig:
                return Violation(CloseReason.MESSAGE_TOO_BIG)
            return None if message is None else Message(message)
        return None

    def _peer_close(self, event: CloseConnection) -> PeerClose | Violation:
        state = self._connection.state
        if state is ConnectionState.CLOSED:
            return PeerClose(int(event.code), None)
        if state is ConnectionState.REMOTE_CLOSING:
            return PeerClose(int(event.code), self._connection.send(event.response()))
        return Violation(CloseReason(event.code))  # this is how wsproto reports malformed frames
