"""Write to one connection's socket, in order and completely, and end it."""

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from .client_socket import ClientSocket
from .limits import ConnectionLimits

FINISH_SECONDS = 0.4  # to finish a write after its task was cancelled


class Wire:
    """Writes in order and completely, as long as the reader makes progress.

    If the socket takes nothing for the send timeout, the reader has stalled and the connection is
    reset. A cancelled write that has begun is finished within `FINISH_SECONDS`, or the connection
    is reset, because half a frame would garble what follows. One that has not begun writes nothing.
    Writes after the end do nothing: the application learns of the end from its disconnect event,
    not from an error.

    `reading` is the cancel scope in which a WebSocket reads. When it ends, the connection ends.
    """

    __slots__ = (
        "_lock",
        "_peer_finished",
        "_remainder",
        "_send_timeout",
        "_socket",
        "_spawn",
        "ended",
        "last_received",
        "reading",
        "stalled",
    )

    def __init__(
        self,
        client: ClientSocket,
        send_timeout: float,
        spawn: Callable[[Callable[[], Awaitable[None]]], Any],
    ) -> None:
        self._socket = client
        self._lock: trio.Lock | None = None  # made for the first write that has to wait
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
        if sent != len(data):
            with trio.CancelScope(shield=True):
                await self._write_on(data, sent)

    def try_send(self, data: bytes) -> bool:
        """Write without waiting; see `ConnectionHandle.try_send`."""
        sent = self._write_now(data)
        if sent is None:
            return False
        if sent < len(data):
            self._remainder = data[sent:]
            self._spawn(self._finish_remainder)
        return True

    def stop_reading(self, *, within: float = 0.0) -> None:
        """Stop reading within this many seconds. The connection ends after that."""
        deadline = trio.current_time() + within
        self.reading.deadline = min(self.reading.deadline, deadline)

    def abort(self) -> None:
        """Reset the connection, and drop unsent bytes. Pending writes return."""
        if not self.ended:
            self._socket.reset()
            self.close()

    async def lingering_close(self, limits: ConnectionLimits) -> None:
        """Close after the client has received what was written, or had time to."""
        if not (self.ended or self._peer_finished):
            await lingering_close(
                self._socket, timeout=limits.close_timeout, max_discarded=limits.max_discarded
            )
        self.close()

    def close(self) -> None:
        """Close the socket. The kernel still delivers what it has taken."""
        self.ended = True
        self._remainder = b""
        self._socket.close()
        self.reading.cancel()

    def _write_now(self, data: bytes) -> int | None:
        """Write without waiting. Returns how many bytes were taken; None if nothing was begun."""
        if self.ended or self._remainder or (self._lock is not None and self._lock.locked()):
            return None
        try:
            return self._socket.write(data)
        except OSError:
            self.abort()
            return None

    async def _write_on(self, data: bytes, sent: int | None) -> None:
        """Write the rest of `data` where it was begun, or all of it after the running writes."""
        lock = self._lock_for_waits()
        if sent is None:
            await lock.acquire()
        else:
            lock.acquire_nowait()  # free, since a write was begun
        try:
            await self._write(memoryview(data)[sent or 0 :], begun=sent is not None)
        finally:
            lock.release()

    async def _finish_remainder(self) -> None:
        async with self._lock_for_waits():
            await self._write(b"", begun=True)

    def _lock_for_waits(self) -> trio.Lock:
        """The lock that keeps waiting writes in order. Most connections never need one."""
        if self._lock is None:
            self._lock = trio.Lock()
        return self._lock

    async def _write(self, data: bytes | memoryview, *, begun: bool) -> None:
        """Write what `try_send` left, then `data`. The lock is held."""
        if self.ended:
            return
        unsent = memoryview(self._remainder + data if self._remainder else data)
        begun = begun or bool(self._remainder)
        try:
            while unsent:
                with trio.move_on_after(self._send_timeout) as patience:
                    await self._socket.wait_writable()
                if patience.cancelled_caught:
                    self.stalled = True
                    self.abort()
                    return
                if (sent := self._socket.write(unsent)) is not None:
                    unsent = unsent[sent:]
                    begun = True
        except (OSError, trio.ClosedResourceError):
            self.abort()
        except trio.Cancelled:
            if begun:
                await self._finish_begun(unsent)
            raise
        finally:
            self._remainder = b""

    async def _finish_begun(self, unsent: memoryview) -> None:
        """Finish a cancelled write, or reset the connection."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + FINISH_SECONDS):
            try:
                while unsent:
                    await self._socket.wait_writable()
                    unsent = unsent[self._socket.write(unsent) or 0 :]
            except (OSError, trio.ClosedResourceError):
                pass
        if unsent:
            self.abort()


async def lingering_close(client: ClientSocket, *, timeout: float, max_discarded: int) -> None:
    """Shut down our side, and read until the client closes its own (nginx's lingering close).

    Closing with unread bytes would reset the connection, and the client might lose the last answer.
    Reads and drops at most `max_discarded` bytes, for at most `timeout` seconds. The caller then
    closes the socket.
    """
    with trio.move_on_after(timeout):
        try:
            client.send_eof()
            left = max_discarded
            while left > 0:
                discarded = await client.discard()
                left = left - discarded if discarded else 0
        except (OSError, trio.ClosedResourceError):
            pass  # closed by the client, or by a failed write
