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
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset, keep no unsent bytes


class ClientSocket(trio.abc.AsyncResource):
    """A connected socket without TLS."""

    __slots__ = ("_socket",)

    is_secure = False

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

    async def shake_hands(self) -> None:
        """Agree on the encryption. Raises OSError."""

    def read(self, most: int = MAX_RECV_BYTES) -> bytes:
        """Read what has come, about `most` bytes at most; nothing at the end.

        Raises BlockingIOError if nothing has come, and OSError.
        """
        return os.read(self._socket.fileno(), most)

    def write(self, data: bytes | memoryview) -> int | None:
        """Write what the socket takes now, and return how many bytes that were. Raises OSError.

        None: it took nothing, and other bytes may be written instead. After a number the rest of
        `data` must be written next, even after 0.
        """
        try:
            return os.write(self._socket.fileno(), data)
        except BlockingIOError:
            return None

    async def wait_readable(self) -> None:
        """Wait until there is something to read. Raises ClosedResourceError."""
        await trio.lowlevel.wait_readable(self._descriptor())

    async def wait_writable(self) -> None:
        """Wait until the socket has room. Raises ClosedResourceError."""
        await trio.lowlevel.wait_writable(self._descriptor())

    def send_eof(self) -> None:
        """Tell the client that nothing more is written. Raises OSError."""
        self._socket.shutdown(socket.SHUT_WR)

    async def discard(self) -> int:
        """Wait for bytes and drop them as they came, encrypted or not; how many, 0 at the end.

        Raises OSError and ClosedResourceError.
        """
        await trio.lowlevel.wait_readable(self._descriptor())
        return len(os.read(self._socket.fileno(), MAX_RECV_BYTES))

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
        "_client_ended",
        "_decrypted",
        "_incoming",
        "_outgoing",
        "_record",
        "_record_data",
        "_session",
    )

    is_secure = True

    def __init__(self, connected: socket.socket, context: ssl.SSLContext) -> None:
        super().__init__(connected)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._decrypted = b""  # what came with the end of the handshake
        self._client_ended = False  # in TLS; the socket may still be open
        self._record = b""  # encrypted, and not taken whole by the socket
        self._record_data = 0  # bytes of data in it

    async def shake_hands(self) -> None:
        while not self._agree():
            await self._send_agreement()
            await self.wait_readable()
            with suppress(BlockingIOError):
                if not (received := super().read()):
                    raise ConnectionResetError("the client left during the handshake")
                self._incoming.write(received)
        await self._send_agreement()
        with suppress(BlockingIOError):
            self._decrypted = self._decrypt()

    def read(self, most: int = MAX_RECV_BYTES) -> bytes:
        if self._decrypted or self._client_ended:
            decrypted, self._decrypted = self._decrypted, b""
            return decrypted
        if not (received := super().read(min(most, MAX_RECV_BYTES))):
            return b""
        self._incoming.write(received)
        return self._decrypt()

    def write(self, data: bytes | memoryview) -> int:
        """Like the plain one, but never None: a record that is encrypted must be sent."""
        unsent, sent = memoryview(data)[:MAX_ENCRYPTED_BYTES], 0
        while sent < len(unsent):
            if not self._record:
                self._record_data = self._session.write(unsent[sent:])
                self._record = self._outgoing.read()
            taken = super().write(self._record)
            self._record = self._record[taken or 0 :]
            if self._record:
                break
            sent += self._record_data
        return sent

    async def wait_readable(self) -> None:
        if self._decrypted or self._client_ended:
            await trio.lowlevel.checkpoint()
        else:
            await super().wait_readable()

    def send_eof(self) -> None:
        self._announce_end()
        super().send_eof()

    def close(self) -> None:
        """Close the socket. The client learns from TLS that nothing was cut off."""
        if self.fileno() >= 0:
            self._announce_end()
        self._close()

    def _agree(self) -> bool:
        """Go on with the handshake. Returns whether it is completed. Raises OSError."""
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    async def _send_agreement(self) -> None:
        unsent = self._outgoing.read()
        while unsent:
            if (taken := super().write(unsent)) is None:
                await self.wait_writable()
            unsent = unsent[taken or 0 :]

    def _decrypt(self) -> bytes:
        """All data of the records that have come whole; nothing at the end. Raises as `read`."""
        parts = []
        try:
            while part := self._session.read(MAX_RECV_BYTES):
                parts.append(part)
            self._client_ended = True
        except ssl.SSLWantReadError:
            if not parts:
                raise BlockingIOError from None
        except ssl.SSLZeroReturnError:  # after our own end
            self._client_ended = True
        return b"".join(parts)

    def _announce_end(self) -> None:
        """Send TLS's own end, or the alert of a failed handshake, if the socket has room."""
        if not self._record:  # half a record would garble it
            with suppress(ssl.SSLError):  # it also looks for the client's end
                self._session.unwrap()
            with suppress(OSError):
                super().write(self._outgoing.read())
