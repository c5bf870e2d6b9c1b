"""Both ends of a TCP connection on loopback."""

import array
import fcntl
import socket
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import trio


@dataclass
class SocketPair:
    """Our end does not block; theirs is a stream. The test closes ours, or the program under test.

    A socket of Unix would wake its reader for each byte, whatever it is set to.
    """

    ours: socket.socket
    theirs: trio.SocketStream

    def unread(self) -> int:
        """The bytes that have arrived at our end and were not read."""
        return _asked(self.ours.fileno(), termios.FIONREAD)

    def all_arrived(self) -> bool:
        """Whether all that they have sent has arrived at our end."""
        return not _asked(self.theirs.socket.fileno(), termios.TIOCOUTQ)


def _asked(socket: int, what: int) -> int:
    count = array.array("i", [0])
    fcntl.ioctl(socket, what, count)
    return count[0]


@contextmanager
def tcp_pair() -> Iterator[SocketPair]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    with ours, theirs:
        ours.setblocking(False)
        yield SocketPair(ours, trio.SocketStream(trio.socket.from_stdlib_socket(theirs)))
