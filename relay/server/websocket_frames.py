"""A WebSocket's frames, read and written (RFC 6455, 5). No I/O.

wsproto parses them; how many there may be, and how large a message, is bounded here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hypercorn.typing import WebsocketReceiveEvent
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError

from .limits import ConnectionLimits
from .messages import FrameRate, MessageBuffer, MessageTooBig


@dataclass(frozen=True, slots=True)
class Message:
    """A message that is whole, as ASGI's event."""

    event: WebsocketReceiveEvent


@dataclass(frozen=True, slots=True)
class Pong:
    """A ping came; `frame` is its answer, ready to be sent."""

    frame: bytes


@dataclass(frozen=True, slots=True)
class PeerClose:
    """The client's close frame. `frame`: the answer to it; None where it answers ours."""

    code: int
    frame: bytes | None


@dataclass(frozen=True, slots=True)
class Violation:
    """The client broke a rule, or a bound; the connection is to be failed with this code."""

    code: CloseReason


Received = Message | Pong | PeerClose | Violation | None


class Frames:
    """Both directions of one WebSocket, behind its handshake. No extension is spoken."""

    __slots__ = ("_connection", "_message", "_rate")

    def __init__(self, limits: ConnectionLimits, max_message: int) -> None:
        self._connection = Connection(ConnectionType.SERVER)
        self._message = MessageBuffer(max_message)
        self._rate = FrameRate(limits)

    def message(self, event: dict[str, Any]) -> bytes:
        """The frame of ASGI's `websocket.send`. Raises TypeError for one without a message."""
        if event.get("bytes") is not None:
            return self._connection.send(BytesMessage(data=bytes(event["bytes"])))
        if isinstance(event.get("text"), str):
            return self._connection.send(TextMessage(data=event["text"]))
        raise TypeError("a message has bytes, or text that is a str")

    def close(self, code: int, reason: str | None) -> bytes:
        """A close frame; empty where one was sent before."""
        try:
            return self._connection.send(CloseConnection(int(code), reason))
        except LocalProtocolError:
            return b""

    def receive(self, data: bytes) -> Iterator[Received]:
        """What the client's bytes bring, frame by frame; None for one that asks for nothing.

        Behind a PeerClose or a Violation nothing is to be read any more. When our close frame was
        sent before, only these two are reported.
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
        return Violation(CloseReason(event.code))  # so wsproto reports bytes that are no frames
