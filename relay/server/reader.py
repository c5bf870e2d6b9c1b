"""What comes in on one connection, read when it is asked for."""

import os
import re
import select

import trio

from .framing import Body
from .heads import END, check_unfinished
from .limits import ConnectionLimits
from .wire import MAX_RECV, Stream, Wire, plain_socket

MOST_BETWEEN = 16  # requests, until others are given a turn again although the last did not pay
EMPTY_LINES = re.compile(rb"(\r\n)+")  # tolerated in front of a request (RFC 9112, 2.2)


class Reader:
    """The bytes that have come and were not taken yet, and more of them.

    Its user bounds them, by not asking for more. `ended`: there will be no more.
    """

    __slots__ = (*("_between", "_fresh", "_since", "_socket", "_tls", "_unread", "_wire", "ended"),)

    def __init__(self, stream: Stream, wire: Wire) -> None:
        self._tls = stream if isinstance(stream, trio.SSLStream) else None
        self._socket = plain_socket(stream)
        self._wire = wire
        self._fresh = True  # nothing was asked for yet: what made the peer connect is mostly here
        self._between = MOST_BETWEEN  # requests from one turn that others are given to the next
        self._since = 0
        self._unread = b""
        self.ended = False

    @property
    def unread(self) -> int:
        """How many bytes have come and were not taken yet."""
        return len(self._unread)

    async def take_head(self, max_head: int, limits: ConnectionLimits) -> bytes | None:
        """The next request's head, to the empty line that ends it; None when there is none.

        What has come of it does not make the wait longer: a slow head is as bad as none. Raises
        Problem for what will never be a head, or one of more than `max_head` bytes.
        """
        searched = 0
        while self._unread or await self.more():
            if empty := EMPTY_LINES.match(self._unread):
                self._unread, searched = self._unread[empty.end() :], 0
            end = self._unread.find(END, searched)
            if end >= 0:
                head, self._unread = self._unread[: end + 4], self._unread[end + 4 :]
                return head
            check_unfinished(self._unread, max_head, limits)
            searched = max(0, len(self._unread) - 3)
            if not await self.more():
                break
        return None

    def has_input(self) -> bool:
        """Whether there is something to take, or to read without waiting: bytes or the end."""
        if self._unread:
            return True
        look = select.poll()
        look.register(self._socket.fileno(), select.POLLIN)
        return bool(look.poll(0))

    def has_whole(self, body: Body) -> bool:
        """Whether the body has come to its end, as far as that can be seen at a glance."""
        return body.is_in(self._unread)

    def take_body(self, body: Body) -> bytes:
        """What has come of the body. Raises BadRequest where it is not framed as it says."""
        data, self._unread = body.take(self._unread)
        return data

    def take_all(self) -> bytes:
        """Everything that has come."""
        data, self._unread = self._unread, b""
        return data

    async def give_way(self) -> None:
        """Between two requests: let others have their turn, where that is fair or pays.

        With more unread it is fair: a client that sends many at once must not hold others up. It
        pays among many quick clients: the next request has come meanwhile, and to wait for it would
        cost twice as much. Only a turn can show that: after one that paid comes the next, after
        others ever fewer.
        """
        self._since += 1
        if self._unread:
            await trio.lowlevel.checkpoint()
        elif self._since >= self._between:
            self._since = 0
            await trio.lowlevel.checkpoint()
            self._between = 1 if self._look() else min(2 * self._between, MOST_BETWEEN)

    async def more(self) -> bool:
        """Wait for more; False at the end, theirs or ours. Cancelled, nothing is lost."""
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
            self._wire.note_peer_finished()
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
        self._wire.note_received()
        self._unread = self._unread + data if self._unread else data
