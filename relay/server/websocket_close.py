"""A WebSocket's closing handshake: its two close frames (RFC 6455, 7)."""

from hypercorn.typing import WebsocketDisconnectEvent
from wsproto.frame_protocol import CloseReason

from .handle import WireHandle
from .limits import ConnectionLimits
from .websocket_frames import Frames, PeerClose
from .wire import Wire


class CloseHandshake:
    """Writes our close frame, or the answer to the client's, and keeps the close code."""

    __slots__ = ("_code", "_discarded", "_frames", "_handle", "_limits", "_wire")

    def __init__(
        self, limits: ConnectionLimits, frames: Frames, wire: Wire, handle: WireHandle
    ) -> None:
        self._limits = limits
        self._frames = frames
        self._wire = wire
        self._handle = handle
        self._code = int(CloseReason.ABNORMAL_CLOSURE)
        self._discarded = 0

    def disconnect(self) -> WebsocketDisconnectEvent:
        """ASGI's disconnect event with the close code; 1006 if there was no close frame."""
        return {"type": "websocket.disconnect", "code": self._code}

    async def start(self, code: int, reason: str | None = None) -> None:
        """Send our close frame, and read on for `close_timeout` until the client answers it.

        Closing the socket with unread bytes would reset it, and the client might lose the code.
        """
        self._handle.shut()
        self._code = int(code)
        self._wire.stop_reading(within=self._limits.close_timeout)  # even without the frame
        if frame := self._frames.close(code, reason):
            await self._wire.finish(frame)

    async def answer(self, close: PeerClose) -> None:
        """Answer the client's close frame, unless it was an answer itself."""
        self._wire.note_peer_finished()
        if close.frame is not None:
            self._handle.shut()
            self._code = close.code
            await self._wire.finish(close.frame)

    def may_discard(self, size: int) -> bool:
        """Whether this many more bytes may be dropped between our close frame and the client's."""
        self._discarded += size
        return self._discarded <= self._limits.max_discarded
