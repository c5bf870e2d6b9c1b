"""How a WebSocket ends: the two close frames, and the time between them (RFC 6455, 7)."""

from hypercorn.typing import WebsocketDisconnectEvent
from wsproto.frame_protocol import CloseReason

from .limits import ConnectionLimits
from .transport import WireTransport
from .websocket_frames import Frames, PeerClose
from .wire import Wire


class CloseHandshake:
    """Writes our close frame, or the answer to the client's; remembers the code of the end."""

    __slots__ = ("_code", "_discarded", "_frames", "_limits", "_transport", "_wire")

    def __init__(
        self, limits: ConnectionLimits, frames: Frames, wire: Wire, transport: WireTransport
    ) -> None:
        self._limits = limits
        self._frames = frames
        self._wire = wire
        self._transport = transport
        self._code = int(CloseReason.ABNORMAL_CLOSURE)
        self._discarded = 0

    def disconnect(self) -> WebsocketDisconnectEvent:
        """ASGI's event for the end, with its code: 1006 when no close frame was seen."""
        return {"type": "websocket.disconnect", "code": self._code}

    async def start(self, code: int, reason: str | None = None) -> None:
        """Send our close frame, and give the client a moment to answer it.

        Closing the socket over unread bytes would reset it, and the code might never arrive.
        """
        self._transport.shut()
        self._code = int(code)
        self._wire.hang_up(within=self._limits.close_timeout)  # also if the frame does not go out
        if frame := self._frames.close(code, reason):
            await self._wire.finish(frame)

    async def answer(self, close: PeerClose) -> None:
        """Send the answer to the client's close frame; nothing where that was an answer itself."""
        self._wire.note_peer_finished()
        if close.frame is not None:
            self._transport.shut()
            self._code = close.code
            await self._wire.finish(close.frame)

    def may_discard(self, size: int) -> bool:
        """Whether so many bytes more may come between our close frame and the client's."""
        self._discarded += size
        return self._discarded <= self._limits.max_discarded
