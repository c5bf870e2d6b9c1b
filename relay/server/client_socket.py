"""A client's connected socket, with TLS or without. Its calls never block.

A write is one call, made in the pass that delivers the event. trio's streams, with TLS or without,
need two passes for a write, and cannot say that the socket takes nothing.
"""

import os
import socket
import ssl
import struct
from contextlib import suppress
from typing import Any

import trio

MAX_RECV_BYTES = 16_384
"""Bytes of one read. A head that arrives in one read is parsed at once: 64 KiB of the shortest
headers would hold the loop for 90 ms."""
MAX_ENCRYPTED_BYTES = 262_144  # of one write: 0.1 to 0.3 ms of CPU
MAX_UNSENT_REPLIES = 16_384
"""Bytes that TLS itself answers, as to a change of keys, before a read fails. They go out with the
next write. A change of keys causes about 30, and a client makes one now and then."""
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset, keep no unsent bytes


class ClientSocket(trio.abc.AsyncResource):
    """A connected socket without TLS."""

    __slots__ = ("_socket",)

    is_secure = False
    has_part = False
    """Whether bytes were read that are no data yet, as a part of a record of TLS."""

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self._socket = connected

    def addresses(self) -> tuple[int, Any, Any]:
        """The family, the client's address and ours. Raises OSError if the client has left."""
        connected = self._socket
        return connected.family, connected.getpeername(), connected.getsockname()

    def fileno(self) -> int:
        """The descriptor; -1 once it is closed."""
        return self._socket.fileno()

    async def do_handshake(self) -> None:
        """Do the handshake of TLS, if there is one. Raises OSError."""

    def read(self, max_bytes: int = MAX_RECV_BYTES) -> bytes:
        """Read what has come, at most `max_bytes`; nothing at the end.

        With TLS it may be a record (16 KiB) more, of which a part had come before. Raises
        BlockingIOError if nothing has come, and OSError.
        """
        return self._receive(max_bytes)

    def write(self, data: bytes | memoryview) -> int | None:
        """Write what the socket takes now, and return how many bytes it took. Raises OSError.

        None: it took nothing, and other bytes may be written instead. After a number the rest of
        `data` must be written next, even after 0.
        """
        return self._send(data)

    async def wait_readable(self) -> None:
        """Wait until there is something to read. Raises ClosedResourceError."""
        await trio.lowlevel.wait_readable(self._descriptor())

    async def wait_writable(self) -> None:
        """Wait until the socket has room. Raises ClosedResourceError."""
        await trio.lowlevel.wait_writable(self._descriptor())

    def send_eof(self) -> None:
        """Shut down the sending side. Raises OSError."""
        self._socket.shutdown(socket.SHUT_WR)

    async def discard(self) -> int:
        """Wait for bytes and drop them as they came, encrypted or not; how many, 0 at the end.

        Raises OSError and ClosedResourceError.
        """
        while True:
            await trio.lowlevel.wait_readable(self._descriptor())
            with suppress(BlockingIOError):  # a spurious wake-up
                return len(self._receive(MAX_RECV_BYTES))

    def reset(self) -> None:
        """Close at once. The kernel drops unsent bytes."""
        with suppress(OSError):  # the kernel may have closed it already
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._close()

    def close(self) -> None:
        """Close the socket. The kernel still delivers what it has taken."""
        self._close()

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()

    def _receive(self, max_bytes: int) -> bytes:
        """Take bytes from the kernel, as they came. Raises as `read`."""
        return os.read(self._socket.fileno(), max_bytes)

    def _send(self, data: bytes | memoryview) -> int | None:
        """Give bytes to the kernel as they are; how many it took, None if it has no room.

        Raises OSError.
        """
        try:
            return os.write(self._socket.fileno(), data)
        except BlockingIOError:
            return None

    def _close(self) -> None:
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()

    def _descriptor(self) -> int:
        if (descriptor := self._socket.fileno()) < 0:
            raise trio.ClosedResourceError
        return descriptor


class TLSClientSocket(ClientSocket):
    """A connected socket with TLS, whose handshake is still to come.

    OpenSSL gets the bytes of one read at a time, so that its work is bounded: a record that only
    changes keys takes 23 µs, and on the socket itself OpenSSL would go on as long as they come.
    """

    __slots__ = (
        "_decrypted",
        "_encrypted",
        "_encrypted_from",
        "_incoming",
        "_outgoing",
        "_received_close_notify",
        "_session",
        "has_part",
    )

    is_secure = True

    def __init__(self, connected: socket.socket, context: ssl.SSLContext) -> None:
        super().__init__(connected)
        self.has_part = False
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._decrypted = b""  # what came with the end of the handshake
        self._received_close_notify = False  # the socket may still be open
        self._encrypted = b""  # what the socket has not taken of the records of a write
        self._encrypted_from = 0  # bytes of data in these records

    async def do_handshake(self) -> None:
        while not self._advance_handshake():
            await self._send_handshake()
            await self.wait_readable()
            with suppress(BlockingIOError):
                if not (received := self._receive(MAX_RECV_BYTES)):
                    raise ConnectionResetError("the client left during the handshake")
                self._incoming.write(received)
        await self._send_handshake()
        with suppress(BlockingIOError):
            self._decrypted = self._decrypt()

    def read(self, max_bytes: int = MAX_RECV_BYTES) -> bytes:
        if self._decrypted or self._received_close_notify:
            decrypted, self._decrypted = self._decrypted, b""
            return decrypted
        if self._outgoing.pending > MAX_UNSENT_REPLIES:
            raise ConnectionAbortedError("the client makes TLS answer more than it reads")
        if not (received := self._receive(min(max_bytes, MAX_RECV_BYTES))):
            return b""
        self._incoming.write(received)
        self.has_part = True
        data = self._decrypt()
        self.has_part = False  # whether a part of another record came behind it is not known
        return data

    def write(self, data: bytes | memoryview) -> int:
        """Like the plain one, but never None: what is encrypted must be sent."""
        unsent, sent = memoryview(data)[:MAX_ENCRYPTED_BYTES], 0
        while sent < len(unsent):
            if not self._encrypted:
                self._encrypted_from = self._session.write(unsent[sent:])
                self._encrypted = self._outgoing.read()
            taken = self._send(self._encrypted)
            self._encrypted = self._encrypted[taken or 0 :]
            if self._encrypted:
                break
            sent += self._encrypted_from
        return sent

    async def wait_readable(self) -> None:
        if self._decrypted or self._received_close_notify:
            await trio.lowlevel.checkpoint()
        else:
            await super().wait_readable()

    def send_eof(self) -> None:
        self._send_close_notify()
        super().send_eof()

    def close(self) -> None:
        """Close the socket, after a close_notify: the client knows that nothing was cut off."""
        if self.fileno() >= 0:
            self._send_close_notify()
        self._close()

    def _advance_handshake(self) -> bool:
        """Go on with the handshake. Returns whether it is completed. Raises OSError."""
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    async def _send_handshake(self) -> None:
        unsent = self._outgoing.read()
        while unsent:
            if (taken := self._send(unsent)) is None:
                await self.wait_writable()
            unsent = unsent[taken or 0 :]

    def _decrypt(self) -> bytes:
        """All data of the records that have come whole; nothing at the end. Raises as `read`."""
        parts = []
        try:
            while part := self._session.read(MAX_RECV_BYTES):
                parts.append(part)
            self._received_close_notify = True
        except ssl.SSLWantReadError:
            if not parts:
                raise BlockingIOError from None
        except ssl.SSLZeroReturnError:  # after our own close_notify
            self._received_close_notify = True
        return b"".join(parts)

    def _send_close_notify(self) -> None:
        """Send a close_notify, or the alert of a failed handshake, if the socket has room."""
        if not self._encrypted:  # half a record would garble it
            with suppress(ssl.SSLError):  # it also looks for the client's
                self._session.unwrap()
            with suppress(OSError):
                self._send(self._outgoing.read())
