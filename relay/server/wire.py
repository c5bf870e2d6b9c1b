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

MAX_RECV = 16_384
"""Bytes taken from the socket at one time. h11 bounds only headers that are incomplete: those that
come in one piece are all parsed, and 64 KiB of the shortest would hold the loop for 90 ms."""
TLS_PIECE = 16_384  # bytes: one TLS record, the smallest progress that can be seen there
PARTING = 0.4  # seconds to finish a write that its task no longer waits for
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset, keep no unsent bytes


class Wire:
    """Writes in order, whole, and never longer than its reader makes progress.

    A write is bounded by a deadline that every byte the socket takes moves on; when it passes,
    the reader has stalled and the connection is dropped. A cancelled write that has begun is
    finished within PARTING, or the connection dropped, for half a frame would garble whatever
    follows; one that has not begun leaves nothing behind. Writing to a wire that has ended does
    nothing: the application learns of the end from its disconnect, not from an error in a place
    that cannot help it.

    `reading` is the scope in which the connection reads. Its end is the connection's end.
    `finished` says that the peer has said its last: closing over it can lose nothing.
    """

    __slots__ = (
        "_held",
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
        send_timeout: float,
        spawn: Callable[[Callable[[], Awaitable[None]]], Any],
    ) -> None:
        self._tls = stream if isinstance(stream, trio.SSLStream) else None
        self._socket = plain_socket(stream)
        self._lock = trio.Lock()
        self._send_timeout = send_timeout
        self._spawn = spawn
        self._remainder = b""
        self._held: list[bytes] | None = None
        self.reading = trio.CancelScope()
        self.last_received = trio.current_time()
        self.stalled = False
        self.finished = False
        self.ended = False

    def hold(self) -> None:
        """Gather what `send` is given until `release`: one write is cheaper than several."""
        self._held = []

    async def release(self) -> None:
        """Write what was gathered."""
        data, self._held = b"".join(self._held or ()), None
        if data:
            await self.send(data)

    async def send(self, data: bytes) -> None:
        """Write `data` after everything before it; return when the socket took it all."""
        if self._held is not None:
            self._held.append(data)
            return
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
        """Like `send`, but whole even when the task is cancelled meanwhile.

        No checkpoint when the socket takes it at once.
        """
        sent = self._write_now(data)
        if sent < len(data):
            with trio.CancelScope(shield=True):
                await self._write_on(data, sent)

    def try_send(self, data: bytes) -> bool:
        """Write at once or not at all; see `Transport.try_send`."""
        sent = self._write_now(data)
        if 0 < sent < len(data):
            self._remainder = data[sent:]
            self._spawn(self._finish_remainder)
        return sent > 0

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

    def _write_now(self, data: bytes) -> int:
        """How much of it the socket took at once: none while something else is on its way."""
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
        """Write what the socket did not take at once, or all of it behind what is on its way."""
        if sent:
            self._lock.acquire_nowait()  # it is free, or nothing had been taken
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
                    await self._part(unsent)
                raise
            finally:
                self._remainder = b""
        if progress.cancelled_caught:
            self.stalled = True
            self.abort()

    async def _part(self, unsent: memoryview) -> None:
        """Finish what was begun although its task is cancelled, or drop the connection."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + PARTING):
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
        piece = data[:TLS_PIECE]
        await self._tls.send_all(piece)
        return len(piece)


def plain_socket(stream: Stream) -> trio.socket.SocketType:
    """The socket below a stream, TLS or not."""
    transport = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    return transport.socket
