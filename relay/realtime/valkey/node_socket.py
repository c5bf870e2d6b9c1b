"""A node's socket: what is written goes out in the same pass, and it is read when it has bytes.

A stream of trio would need two more passes of the event loop for a write, and would try each read
before it waits for it. In a process that does little else, that is most of what an event costs.
"""

import socket
import ssl
from contextlib import suppress

import trio

from relay.config.valkey_address import Node

READ_BYTES = 65_536
# A write that follows another one sooner goes out a pass later, with those after it. A write takes
# about 10 µs, so that writes alone fill no more than 5 % of a core.
GATHER_SECONDS = 0.0002

_NOT_READY = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


async def open_socket(node: Node, context: ssl.SSLContext | None) -> "NodeSocket":
    """Connect by TCP, and by TLS with a context. Raises OSError."""
    stream = await trio.open_tcp_stream(node.host, node.port)
    connected = socket.socket(fileno=stream.socket.detach())
    connected.setblocking(False)
    if context is None:
        return NodeSocket(connected)
    secure = context.wrap_socket(
        connected, server_hostname=node.host, do_handshake_on_connect=False
    )
    opened = NodeSocket(secure)
    try:
        await _do_handshake(secure)
    except BaseException:
        opened.close()
        raise
    return opened


async def _do_handshake(secure: ssl.SSLSocket) -> None:
    while True:
        try:
            secure.do_handshake()
            return
        except ssl.SSLWantReadError:
            await trio.lowlevel.wait_readable(secure)
        except ssl.SSLWantWriteError:
            await trio.lowlevel.wait_writable(secure)


class NodeSocket:
    """A connected socket that does not block, with TLS or without.

    With TLS, OpenSSL reads the socket itself: a node is trusted, unlike a client of the server.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._gathered: list[bytes] = []
        self._woken = trio.Event()
        self._sending = False
        self._wrote_at = float("-inf")
        self._written = 0  # writes since bytes were gathered
        self._gathers = False  # whether writes come several at a time
        self._least = 1

    def write(self, data: bytes) -> None:
        """Send bytes after all earlier ones, while `send_gathered` runs. Never waits, never raises.

        They go out at once where the socket takes them, unless writes come several at a time.
        """
        now = trio.current_time()
        self._written += 1
        if not (
            self._gathers
            or self._gathered
            or self._sending
            or now - self._wrote_at < GATHER_SECONDS
        ):
            self._wrote_at = now
            with suppress(OSError):  # `send_gathered` meets it again
                data = data[self._send_now(data) :]
            if not data:
                return
        self._gathered.append(data)
        self._woken.set()

    async def send_gathered(self) -> None:
        """Send what was written and not sent at once, until cancelled. Raises OSError."""
        while True:
            await self._woken.wait()
            self._woken = trio.Event()
            gathered, self._gathered = self._gathered, []
            self._gathers, self._written = self._written > 1, 0
            await self.send_all(b"".join(gathered))
            self._wrote_at = trio.current_time()

    async def send_all(self, data: bytes) -> None:
        """Send bytes; there is no checkpoint if the socket takes them. Raises OSError.

        After a cancellation the connection is of no use: a part may have been sent.
        """
        self._sending = True
        left = memoryview(data)
        while left := left[self._send_now(left) :]:
            await trio.lowlevel.wait_writable(self._socket)
        self._sending = False

    def _send_now(self, data: bytes | memoryview) -> int:
        """Send what the socket takes; returns how many bytes that were. Raises OSError."""
        try:
            return self._socket.send(data)
        except _NOT_READY:
            return 0

    async def receive(self) -> bytes:
        """Wait for bytes; none after the end. Raises OSError."""
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            if (data := self.receive_now()) is not None:
                return data

    def receive_now(self) -> bytes | None:
        """The bytes that are there: b"" after the end, None if there are none. Raises OSError."""
        try:
            return self._socket.recv(READ_BYTES)
        except _NOT_READY:
            return None

    def receive_from(self, least: int) -> None:
        """Have `receive` return when so many bytes are there, or the connection ends.

        With TLS it returns for each byte: what of a record was read already is unknown here.
        """
        if least != self._least and not isinstance(self._socket, ssl.SSLSocket):
            self._least = least
            with suppress(OSError):  # where it is not known, the first byte wakes
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, least)

    def close(self) -> None:
        """Close it. What waits for it raises ClosedResourceError."""
        trio.lowlevel.notify_closing(self._socket)
        self._socket.close()
