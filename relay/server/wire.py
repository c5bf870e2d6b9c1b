"""Write to one connection's socket, and close it. No other code does either."""

import os
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import trio

from .limits import ConnectionLimits

TLSStream = trio.SSLStream[trio.SocketStream]
Stream = trio.SocketStream | TLSStream

MAX_RECV_BYTES = 16_384
"""Bytes of one read. A head that arrives in one read is parsed at once: 64 KiB of the shortest
headers would hold the loop for 90 ms."""
TLS_PIECE_BYTES = 16_384  # bytes: one TLS record, so that progress can be seen
FINISH_SECONDS = 0.4  # to finish a write after its task was cancelled
LINGER_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset, keep no unsent bytes


class Wire:
    """Writes in order and completely, as long as the reader makes progress.

    A write has a deadline that moves whenever the socket takes bytes. When it passes, the reader
    has stalled and the connection is reset. A cancelled write that has begun is finished within
    `FINISH_SECONDS`, or the connection is reset, because half a frame would garble what follows.
    One that has not begun writes nothing. Writes after the end do nothing: the application learns
    of the end from its disconnect event, not from an error.

    `reading` is the cancel scope in which a WebSocket reads. When it ends, the connection ends.
    """

    __slots__ = (
        "_lock",
        "_peer_finished",
        "_remainder",
        "_send_timeout",
        "_socket",
        "_spawn",
        "_stream",
        "_tls",
        "ended",
        "last_received",
        "reading",
        "stalled",
    )

    def __init__(
        self,
        stream: Stream,
        send_timeout: float,
        spawn: Callable[[Callable[[], Awaitable[None]]], Any],
    ) -> None:
        self._stream = stream
        self._tls = stream if isinstance(stream, trio.SSLStream) else None
        self._socket = plain_socket(stream)
        self._lock = trio.Lock()
        self._send_timeout = send_timeout
        self._spawn = spawn
        self._remainder = b""
        self.reading = trio.CancelScope()
        self.last_received = trio.current_time()
        self.stalled = False
        self._peer_finished = False
        self.ended = False

    def note_received(self) -> None:
        """Record that the client has sent bytes."""
        self.last_received = trio.current_time()

    def note_peer_finished(self) -> None:
        """Record that the client has sent its last byte, so that closing loses nothing."""
        self._peer_finished = True

    async def send(self, data: bytes) -> None:
        """Write `data` after all earlier writes. Returns when the socket has taken it."""
        if self.ended:
            await trio.lowlevel.checkpoint()
            return
        await trio.lowlevel.checkpoint_if_cancelled()
        sent = self._write_now(data)
        if sent == len(data):
            await trio.lowlevel.cancel_shielded_checkpoint()
        else:
            await self._write_on(data, sent)

    async def finish(self, data: bytes) -> None:
        """Like `send`, but shielded from cancellation; no checkpoint if the socket takes it."""
        sent = self._write_now(data)
        if sent < len(data):
            with trio.CancelScope(shield=True):
                await self._write_on(data, sent)

    def try_send(self, data: bytes) -> bool:
        """Write without waiting; see `ConnectionHandle.try_send`."""
        sent = self._write_now(data)
        if 0 < sent < len(data):
            self._remainder = data[sent:]
            self._spawn(self._finish_remainder)
        return sent > 0

    def stop_reading(self, *, within: float = 0.0) -> None:
        """Stop reading within this many seconds. The connection ends after that."""
        deadline = trio.current_time() + within
        self.reading.deadline = min(self.reading.deadline, deadline)

    def abort(self) -> None:
        """Reset the connection, and drop unsent bytes. Pending writes return."""
        if not self.ended:
            with suppress(OSError):  # the kernel may have closed it already
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
            self.close()

    async def lingering_close(self, limits: ConnectionLimits) -> None:
        """Close after the client has received what was written, or had time to."""
        if not (self.ended or self._peer_finished):
            await lingering_close(
                self._stream, timeout=limits.close_timeout, max_discarded=limits.max_discarded
            )
        self.close()

    def close(self) -> None:
        """Close the socket. The kernel still delivers what it has taken."""
        self.ended = True
        self._remainder = b""
        self._socket.close()
        self.reading.cancel()

    def _write_now(self, data: bytes) -> int:
        """Write without waiting. Returns how many bytes were taken; 0 while another write runs."""
        if self.ended or self._tls is not None or self._remainder or self._lock.locked():
            return 0
        try:
            return os.write(self._socket.fileno(), data)
        except BlockingIOError:
            return 0
        except OSError:
            self.abort()
            return 0

    async def _write_on(self, data: bytes, sent: int) -> None:
        """Write the rest of `data`, or all of it after the writes that are running."""
        if sent:
            self._lock.acquire_nowait()  # free, since bytes were taken
        else:
            await self._lock.acquire()
        try:
            await self._write(data[sent:], begun=sent > 0)
        finally:
            self._lock.release()

    async def _finish_remainder(self) -> None:
        async with self._lock:
            await self._write(b"", begun=True)

    async def _write(self, data: bytes, *, begun: bool) -> None:
        """Write what `try_send` left, then `data`. The lock is held."""
        if self.ended:
            return
        unsent = memoryview(self._remainder + data if self._remainder else data)
        begun = begun or bool(self._remainder) or self._tls is not None
        with trio.CancelScope() as progress:
            try:
                while unsent:
                    progress.deadline = trio.current_time() + self._send_timeout
                    unsent = unsent[await self._send_some(unsent) :]
                    begun = True
            except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                self.abort()
            except trio.Cancelled:
                if begun and trio.current_time() < progress.deadline:
                    await self._finish_begun(unsent)
                raise
            finally:
                self._remainder = b""
        if progress.cancelled_caught:
            self.stalled = True
            self.abort()

    async def _finish_begun(self, unsent: memoryview) -> None:
        """Finish a cancelled write, or reset the connection."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + FINISH_SECONDS):
            try:
                while unsent and self._tls is None:
                    unsent = unsent[await self._send_some(unsent) :]
            except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                pass
        if unsent:
            self.abort()

    async def _send_some(self, data: memoryview) -> int:
        if self._tls is None:
            return await self._socket.send(data)
        piece = data[:TLS_PIECE_BYTES]
        await self._tls.send_all(piece)
        return len(piece)


async def lingering_close(stream: Stream, *, timeout: float, max_discarded: int) -> None:
    """Shut down our side, and read until the client closes its own (nginx's lingering close).

    Closing with unread bytes would reset the connection, and the client might lose the last answer.
    Reads and drops at most `max_discarded` bytes, for at most `timeout` seconds. The caller then
    closes the socket.
    """
    with trio.move_on_after(timeout):
        try:
            if isinstance(stream, trio.SSLStream):
                await stream.aclose()
                return
            await stream.send_eof()
            left = max_discarded
            while left > 0:
                data = await stream.receive_some(MAX_RECV_BYTES)
                left = left - len(data) if data else 0
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # closed by the client, or by a failed write


def plain_socket(stream: Stream) -> trio.socket.SocketType:
    """The TCP socket of a stream, with TLS or without."""
    handle = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    return handle.socket
