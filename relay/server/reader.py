"""What comes in on one connection, read when somebody asks for it."""

import os

import trio

from .wire import MAX_RECV, Stream, Wire, plain_socket


class Reader:
    """The bytes that have come and nobody has taken yet: `unread`.

    Whoever reads bounds them, by not asking for more.
    """

    __slots__ = ("_socket", "_tls", "_wire", "ended", "unread")

    def __init__(self, stream: Stream, wire: Wire) -> None:
        self._tls = stream if isinstance(stream, trio.SSLStream) else None
        self._socket = plain_socket(stream)
        self._wire = wire
        self.unread = b""
        self.ended = False

    async def more(self) -> bool:
        """Wait for more; False at the end, whoever ended it. Cancelled, nothing is lost."""
        try:
            data = await self._receive() if not self._wire.ended else b""
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        if not data:
            self.ended = True
            await trio.lowlevel.checkpoint()
            return False
        self._wire.last_received = trio.current_time()
        self.unread = self.unread + data if self.unread else data
        return True

    async def _receive(self) -> bytes:
        """What has come, or nothing at the end; waits first, for mostly nothing has come yet."""
        if self._tls is not None:
            return bytes(await self._tls.receive_some(MAX_RECV))
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            try:
                return os.read(self._socket.fileno(), MAX_RECV)
            except BlockingIOError:
                pass
