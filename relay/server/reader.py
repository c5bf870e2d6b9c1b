"""What comes in on one connection, read when somebody asks for it."""

import os

import trio

from .wire import MAX_RECV, Stream, Wire, plain_socket

MOST_BETWEEN = 16  # requests, until others are given a turn again although the last did not pay


class Reader:
    """The bytes that have come and nobody has taken yet: `unread`.

    Whoever reads bounds them, by not asking for more.
    """

    __slots__ = (*("_between", "_fresh", "_since", "_socket", "_tls", "_wire", "ended", "unread"),)

    def __init__(self, stream: Stream, wire: Wire) -> None:
        self._tls = stream if isinstance(stream, trio.SSLStream) else None
        self._socket = plain_socket(stream)
        self._wire = wire
        self._fresh = True  # nothing was asked for yet: what made the peer connect is mostly here
        self._between = MOST_BETWEEN  # requests from one turn that others are given to the next
        self._since = 0
        self.unread = b""
        self.ended = False

    async def give_way(self) -> None:
        """Between two requests: let others have their turn, where that is fair or pays.

        With more unread it is fair: who sends many at once must not hold others up. It pays among
        many quick peers: the next request has come meanwhile, and to wait for it would cost twice
        as much. Only a turn can tell: after one that paid comes the next, after others ever fewer.
        """
        self._since += 1
        if self.unread:
            await trio.lowlevel.checkpoint()
        elif self._since >= self._between:
            self._since = 0
            await trio.lowlevel.checkpoint()
            self._between = 1 if self._look() else min(2 * self._between, MOST_BETWEEN)

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
        self._keep(data)
        return True

    def _look(self) -> bool:
        """Take what has come already, if anything has; the end is left for `more` to find."""
        if self._tls is not None:
            return False
        try:
            data = os.read(self._socket.fileno(), MAX_RECV)
        except OSError:
            return False
        if data:
            self._keep(data)
        return bool(data)

    def _keep(self, data: bytes) -> None:
        self._wire.last_received = trio.current_time()
        self.unread = self.unread + data if self.unread else data
