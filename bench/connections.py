"""The generator's sockets: plain or over TLS, never blocking but in a handshake."""

import socket
import ssl

BLOCK_BYTES = 2**18
CONNECT_SECONDS = 10.0


def open_socket(port: int, tls: ssl.SSLContext | None = None) -> socket.socket:
    """A connection to loopback; over TLS its handshake is over."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=CONNECT_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls is not None:
        sock = tls.wrap_socket(sock, server_hostname="127.0.0.1")
    sock.setblocking(False)
    return sock


def receive_into(sock: socket.socket, block: bytearray) -> int | None:
    """The number of bytes received; None if there are none yet, 0 at the end or after a reset.

    A block of BLOCK_BYTES holds a whole TLS record, so OpenSSL keeps nothing that epoll does not
    announce.
    """
    try:
        return sock.recv_into(block)
    except (BlockingIOError, ssl.SSLWantReadError):
        return None
    except OSError:
        return 0


def send_all(sock: socket.socket, data: bytes) -> None:
    """Send all of it. What the kernel does not take at once waits for the server to read."""
    try:
        sent = sock.send(data)
    except (BlockingIOError, ssl.SSLWantWriteError):
        sent = 0
    if sent < len(data):
        sock.setblocking(True)
        sock.sendall(memoryview(data)[sent:])
        sock.setblocking(False)
