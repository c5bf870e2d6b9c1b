"""What comes in on one connection, read when somebody asks for it."""

import trio

from .wire import MAX_RECV, Stream, Wire


class Reader:
    """The bytes that have come and nobody has taken yet: `unread`.

    Whoever reads bounds them, by not asking for more.
    """

    __slots__ = ("_stream", "_wire", "ended", "unread")

    def __init__(self, stream: Stream, wire: Wire) -> None:
        self._stream = stream
        self._wire = wire
        self.unread = b""
        self.ended = False

    async def more(self) -> bool:
        """Wait for more; False at the end, whoever ended it. Cancelled, nothing is lost."""
        try:
            data = bytes(await self._stream.receive_some(MAX_RECV))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        if not data:
            self.ended = True
            return False
        self._wire.last_received = trio.current_time()
        self.unread = self.unread + data if self.unread else data
        return True
