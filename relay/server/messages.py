"""Assemble WebSocket messages from fragments, bounded in bytes and in frames."""

import trio
from hypercorn.typing import WebsocketReceiveEvent

from .limits import ConnectionLimits

FRAMES_PER_TURN = 50
"""Frames parsed before other tasks run: half a millisecond of work. With 500, fifty hostile sockets
held the loop for 100 ms."""


class MessageTooBig(Exception):
    """The message is larger than the limit."""


class FrameRateLimit:
    """A token bucket of the frames that a client may send."""

    __slots__ = ("_available", "_counted_at", "_limits")

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._available = float(limits.max_frames)
        self._counted_at = trio.current_time()

    def admits(self) -> bool:
        """Count one more frame, or part of one. False if they come too fast."""
        now, limits = trio.current_time(), self._limits
        regained = (now - self._counted_at) * limits.frame_rate
        self._available = min(limits.max_frames, self._available + regained) - 1
        self._counted_at = now
        return self._available >= 0


class MessageBuffer:
    """Assembles one message at a time.

    It keeps and counts encoded bytes: a list of strings would take up to four times the memory.
    """

    __slots__ = ("_gathered", "_max_size")

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._gathered: bytearray | None = None

    def add(self, part: str | bytes, *, is_last: bool) -> WebsocketReceiveEvent | None:
        """Add a part. Returns the message if it was the last. Raises MessageTooBig."""
        data = part.encode() if isinstance(part, str) else part
        gathered_bytes = len(self._gathered) if self._gathered is not None else 0
        if gathered_bytes + len(data) > self._max_size:
            self._gathered = None
            raise MessageTooBig
        if self._gathered is not None:
            self._gathered += data
        elif not is_last:
            self._gathered = bytearray(data)
        if not is_last:
            return None
        whole = data if self._gathered is None else bytes(self._gathered)
        self._gathered = None
        if isinstance(part, str):
            return {"type": "websocket.receive", "bytes": None, "text": whole.decode()}
        return {"type": "websocket.receive", "bytes": bytes(whole), "text": None}
