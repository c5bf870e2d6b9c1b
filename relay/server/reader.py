"""Read a connection's incoming bytes on demand."""

import re
import select

import trio

from .client_socket import MAX_RECV_BYTES, ClientSocket
from .framing import BodyReader
from .heads import HEAD_END, check_unfinished
from .limits import ConnectionLimits
from .wire import Wire

MAX_BODY_RECV_BYTES = 65_536  # of a body in one read, so the largest event takes two with its head
MAX_REQUESTS_PER_CHECKPOINT = 16  # requests at most between two checkpoints that found no new bytes
_EMPTY_LINES = re.compile(rb"(\r\n)+")  # allowed before a request (RFC 9112, 2.2)


class Reader:
    """A buffer of received bytes, and the reads that fill it.

    The caller bounds it by not reading more. `ended`: no more bytes will come.
    """

    __slots__ = (
        "_reads_at_once",
        "_requests_per_checkpoint",
        "_since_checkpoint",
        "_socket",
        "_unread",
        "_wire",
        "ended",
    )

    def __init__(self, client: ClientSocket, wire: Wire) -> None:
        self._socket = client
        self._wire = wire
        self._reads_at_once = True  # the first request has mostly arrived; see `more`
        self._requests_per_checkpoint = MAX_REQUESTS_PER_CHECKPOINT
        self._since_checkpoint = 0
        self._unread = b""
        self.ended = False

    @property
    def unread(self) -> int:
        """How many bytes are buffered."""
        return len(self._unread)

    async def take_head(self, max_head: int, limits: ConnectionLimits) -> bytes | None:
        """Read the next request's head, up to its empty line; None at the end of the connection.

        Receiving a part of the head does not extend the keep-alive timeout. Raises Problem for
        bytes that cannot become a head, and for more than `max_head` bytes.
        """
        searched = 0
        while self._unread or await self.more():
            if empty := _EMPTY_LINES.match(self._unread):
                self._unread, searched = self._unread[empty.end() :], 0
            end = self._unread.find(HEAD_END, searched)
            if end >= 0:
                head, self._unread = self._unread[: end + 4], self._unread[end + 4 :]
                return head
            check_unfinished(self._unread, max_head, limits)
            searched = max(0, len(self._unread) - 3)
            if not await self.more():
                break
        return None

    def has_input(self) -> bool:
        """Whether a part of the next request has come, or the end can be read without waiting."""
        if self._unread or self._socket.has_part or self._wire.ended:
            return True
        look = select.poll()
        look.register(self._socket.fileno(), select.POLLIN)
        return bool(look.poll(0))

    def has_whole(self, body: BodyReader) -> bool:
        """Whether the body is known to be buffered to its end, without parsing it."""
        return body.is_complete_in(self._unread)

    def take_body(self, body: BodyReader) -> bytes:
        """Take the buffered bytes of the body. Raises BadRequest for malformed chunks."""
        data, self._unread = body.take(self._unread)
        return data

    def take_all(self) -> bytes:
        """Take all buffered bytes."""
        data, self._unread = self._unread, b""
        return data

    async def checkpoint_if_useful(self) -> None:
        """Between two requests: run other tasks if that is fair, or likely to save a wait.

        It is fair if more bytes are buffered: a client that pipelines must not hold others up. It
        saves a wait if the next request arrives during the checkpoint, as among many fast clients:
        waiting for readability would cost twice as much. After a checkpoint that found new bytes,
        the next one follows after one request; after others it follows later and later, at most
        after `MAX_REQUESTS_PER_CHECKPOINT` requests.
        """
        self._since_checkpoint += 1
        if self._unread:
            await trio.lowlevel.checkpoint()
        elif self._since_checkpoint >= self._requests_per_checkpoint:
            self._since_checkpoint = 0
            await trio.lowlevel.checkpoint()
            self._requests_per_checkpoint = (
                1
                if self._read_available()
                else min(2 * self._requests_per_checkpoint, MAX_REQUESTS_PER_CHECKPOINT)
            )

    async def more_of_body(self, body: BodyReader) -> bool:
        """Wait for bytes of a body, as `more` does, in larger reads where much of it is left.

        Of what follows the body they take no more than others: it may be a head.
        """
        return await self.more(max(MAX_RECV_BYTES, min(body.bytes_left, MAX_BODY_RECV_BYTES)))

    async def more(self, max_bytes: int = MAX_RECV_BYTES) -> bool:
        """Wait for bytes, and read at most `max_bytes`. False at the end of the connection.

        After a wait and a full read there is probably more, so the next call reads without waiting.
        The one after it waits again, so that a client that sends without pause does not hold up
        others. With TLS a read is hardly ever full, and each call waits. No bytes are lost by
        cancelling.
        """
        data = b""
        try:
            if not (self.ended or self._wire.ended):
                if at_once := self._reads_at_once:
                    self._reads_at_once = False
                    await trio.lowlevel.checkpoint_if_cancelled()
                else:  # mostly nothing has arrived yet, and a read would be wasted
                    await self._socket.wait_readable()
                data = self._socket.read(max_bytes)
                self._reads_at_once = not at_once and len(data) == max_bytes
        except BlockingIOError:
            return True  # a spurious wake-up
        except (OSError, trio.ClosedResourceError):
            pass
        if not data:
            self._note_end()
            await trio.lowlevel.checkpoint()
            return False
        self._append(data)
        return True

    async def wait_for_end(self) -> None:
        """Wait until the client sends no more. What it sends meanwhile is buffered, up to a bound.

        Beyond the bound a disconnect is seen only by a write.
        """
        while self.unread < MAX_RECV_BYTES:
            if not await self.more():
                return
        await trio.sleep_forever()

    def _read_available(self) -> bool:
        """Read bytes that have arrived, without waiting. Returns whether there were any."""
        try:
            data = self._socket.read()
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if data:
            self._append(data)
        else:
            self._note_end()
        return bool(data)

    def _note_end(self) -> None:
        self.ended = True
        self._wire.note_peer_finished()

    def _append(self, data: bytes) -> None:
        self._wire.note_received()
        self._unread = self._unread + data if self._unread else data
