"""A client's connected socket, with TLS or without. Its calls never block.

A write is one call, made in the pass that delivers the event. trio's streams need two passes for a
write, and its TLS stream keeps each byte in memory before the socket takes it.
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
headers would hold the loop for 90 ms. TLS puts no more into a record: a read takes a whole one, and
leaves nothing in OpenSSL, where waiting for the socket would miss it."""
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

    def read(self) -> bytes:
        """Read what has come, up to `MAX_RECV_BYTES`; nothing at the end.

        Raises BlockingIOError if nothing has come, and OSError.
        """
        return os.read(self._socket.fileno(), MAX_RECV_BYTES)

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

    def discard(self) -> int:
        """Read and drop bytes as they came; returns how many. Raises as `read`."""
        return len(os.read(self._socket.fileno(), MAX_RECV_BYTES))

    def reset(self) -> None:
        """Close at once. The kernel drops unsent bytes."""
        with suppress(OSError):  # the kernel may have closed it already
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close()

    def close(self) -> None:
        """Close the socket. The kernel still delivers what it has taken."""
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()

    def _descriptor(self) -> int:
        if (descriptor := self._socket.fileno()) < 0:
            raise trio.ClosedResourceError
        return descriptor


class TLSClientSocket(ClientSocket):
    """A connected socket with TLS, whose handshake is still to come."""

    __slots__ = ()

    is_secure = True

    _socket: ssl.SSLSocket

    def __init__(self, connected: socket.socket, context: ssl.SSLContext) -> None:
        """Take over the socket. Raises OSError if the client has left."""
        connected.setblocking(False)
        secure = context.wrap_socket(connected, server_side=True, do_handshake_on_connect=False)
        super().__init__(secure)

    async def shake_hands(self) -> None:
        while True:
            try:
                self._socket.do_handshake()
                return
            except ssl.SSLWantReadError:
                await self.wait_readable()
            except ssl.SSLWantWriteError:
                await self.wait_writable()

    def read(self) -> bytes:
        try:
            return self._socket.recv(MAX_RECV_BYTES)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None

    def write(self, data: bytes | memoryview) -> int:
        """Like the plain one, but never None: OpenSSL keeps a record that it has encrypted."""
        unsent = memoryview(data)[:MAX_ENCRYPTED_BYTES]
        sent = 0
        with suppress(ssl.SSLWantWriteError):
            while sent < len(unsent):
                sent += self._socket.send(unsent[sent:])
        return sent

    def send_eof(self) -> None:
        with suppress(ssl.SSLError):  # it also looks for the client's end, and may find unread data
            self._socket.unwrap()
        super().send_eof()
