"""What comes in on one connection, read when somebody asks for it."""

import os

import trio

from .wire import MAX_RECV, Stream, Wire, plain_socket


class Reader:
    """The bytes that have come and nobody has taken yet: `unread`.

    Whoever reads bounds them, by not asking for more.
    """

    __slots__ = ("_fresh", "_socket", "_tls", "_wire", "ended", "unread")

    def __init__(self, stream: Stream, wire: Wire) -> None:
        self._tls = stream if isinstance(stream, trio.SSLStream) else None
        self._socket = plain_socket(stream)
        self._wire = wire
        self._fresh = True  # nothing was asked for yet: what made the peer connect is mostly here
        self.unread = b""
        self.ended = False

    async def more(self) -> bool:
        """Wait for more; False at the end, whoever ended it. Cancelled, nothing is lost."""
        data = b""
        try:
            if self._tls is not None:
                data = bytes(await self._tls.receive_some(MAX_RECV))
            elif not self._wire.ended:
                if self._fresh:
                    self._fresh = False
                    await trio.lowlevel.checkpoint_if_cancelled()
                else:  # mostly nothing has come yet, and asking for it would be in vain
                    await trio.lowlevel.wait_readable(self._socket)
                data = os.read(self._socket.fileno(), MAX_RECV)
        except BlockingIOError:
            return True  # a false alarm
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        if not data:
            self.ended = True
            await trio.lowlevel.checkpoint()
            return False
        self._wire.last_received = trio.current_time()
        self.unread = self.unread + data if self.unread else data
        return True
