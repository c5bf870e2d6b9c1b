"""One connection's socket: the only way bytes leave it, and the only way it ends."""

import os
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import trio

TLSStream = trio.SSLStream[trio.SocketStream]
Stream = trio.SocketStream | TLSStream

TLS_PIECE = 16_384  # bytes: one TLS record, the smallest progress that can be seen there
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset, keep no unsent bytes


class Wire:
    """Writes in order, whole, and never longer than its reader makes progress.

    A write is shielded from cancellation, for half a frame would garble whatever follows on a
    connection that goes on. What bounds it instead is a deadline that every byte the socket
    takes moves on; when it passes, the reader has stalled and the connection is dropped.
    Writing to a wire that has ended does nothing: the application learns of the end from its
    disconnect, not from an error in a place that cannot help it.

    `reading` is the scope in which the connection reads. Its end is the connection's end.
    `finished` says that the peer has said its last: closing over it can lose nothing.
    """

    __slots__ = (
        "_lock",
        "_remainder",
        "_send_timeout",
        "_socket",
        "_spawn",
        "_tls",
        "ended",
        "finished",
        "last_received",
        "reading",
        "stalled",
    )

    def __init__(
        self,
        stream: Stream,
        lock: trio.Lock,
        send_timeout: float,
        spawn: Callable[[Callable[[], Awaitable[None]]], Any],
    ) -> None:
        self._tls = stream if isinstance(stream, trio.SSLStream) else None
        self._socket = plain_socket(stream)
        self._lock = lock
        self._send_timeout = send_timeout
        self._spawn = spawn
        self._remainder = b""
        self.reading = trio.CancelScope()
        self.last_received = trio.current_time()
        self.stalled = False
        self.finished = False
        self.ended = False

    async def send(self, data: bytes) -> None:
        """Write `data` after everything before it; return when the socket took it all."""
        if self.ended:
            await trio.lowlevel.checkpoint()
            return
        async with self._lock:
            await self._write(data)

    def try_send(self, data: bytes) -> bool:
        """Write at once or not at all; see `Transport.try_send`."""
        if self.ended or self._tls is not None or self._remainder or self._lock.locked():
            return False
        try:
            sent = os.write(self._socket.fileno(), data)
        except BlockingIOError:
            return False
        except OSError:
            self.abort()
            return False
        if sent < len(data):
            self._remainder = data[sent:]
            self._spawn(self._finish)
        return True

    def hang_up(self, *, within: float = 0.0) -> None:
        """Stop reading, at the latest in so many seconds; the connection ends after that."""
        deadline = trio.current_time() + within
        self.reading.deadline = min(self.reading.deadline, deadline)

    def abort(self) -> None:
        """Drop the connection at once, unsent bytes included; pending writes return."""
        if not self.ended:
            with suppress(OSError):  # the kernel may have given it up already
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.close()

    def close(self) -> None:
        """Let go of the socket; what it took before is still delivered."""
        self.ended = True
        self._remainder = b""
        self._socket.close()
        self.reading.cancel()

    async def _finish(self) -> None:
        async with self._lock:
            await self._write(b"")

    async def _write(self, data: bytes) -> None:
        """Write what `try_send` left, then `data`. The lock is held."""
        if self.ended:
            return
        unsent = memoryview(self._remainder + data if self._remainder else data)
        progress = trio.CancelScope(shield=True)
        try:
            with progress:
                while unsent:
                    progress.deadline = trio.current_time() + self._send_timeout
                    unsent = unsent[await self._send_some(unsent) :]
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            self.abort()
        if progress.cancelled_caught:
            self.stalled = True
            self.abort()
        self._remainder = b""

    async def _send_some(self, data: memoryview) -> int:
        if self._tls is None:
            return await self._socket.send(data)
        piece = data[:TLS_PIECE]
        await self._tls.send_all(piece)
        return len(piece)


def plain_socket(stream: Stream) -> trio.socket.SocketType:
    """The socket below a stream, TLS or not."""
    transport = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    return transport.socket
