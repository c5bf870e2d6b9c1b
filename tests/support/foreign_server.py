"""A port where something else than Relay answers, byte by byte as a test says.

What it sends is counted as far as the other end took it, so that a test can tell what was read of
an answer that has no end.
"""

import contextlib
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from tests.support.patience import PATIENCE

Play = Callable[["Line"], None]
DRIP_EVERY = 0.05  # seconds between two bytes of a slow answer
NEVER = 256 * 2**20  # bytes after which an endless answer ends: far beyond any bound
SENT_AT_ONCE = 64 * 2**10


class Line:
    """One connection. Its methods raise OSError when the other end has gone."""

    def __init__(self, server: "ForeignServer", connection: socket.socket) -> None:
        self.server = server
        self._connection = connection
        self.taken = 0

    @property
    def socket(self) -> socket.socket:
        return self._connection

    def read_request(self) -> bytes:
        """A whole request; empty at the end of the connection."""
        text = b""
        while b"\r\n\r\n" not in text:
            if not (more := self._connection.recv(SENT_AT_ONCE)):
                return b""
            text += more
        head, _, body = text.partition(b"\r\n\r\n")
        self.server.note(head)
        lengths = [
            line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
        ]
        wanted = int(lengths[0].partition(b":")[2]) if lengths else 0
        while len(body) < wanted and (more := self._connection.recv(SENT_AT_ONCE)):
            body += more
        return head + b"\r\n\r\n" + body

    def send(self, data: bytes) -> None:
        for at in range(0, len(data), SENT_AT_ONCE):
            part = data[at : at + SENT_AT_ONCE]
            self._connection.sendall(part)
            self.taken += len(part)
            self.server.most_taken = max(self.server.most_taken, self.taken)

    def drip(self, data: bytes) -> None:
        """Send a byte now and then."""
        for at in range(len(data)):
            self.send(data[at : at + 1])
            self.wait(DRIP_EVERY)

    def repeat(self, data: bytes) -> None:
        """Send the same again and again."""
        while self.taken < NEVER:
            self.send(data)

    def wait(self, seconds: float = PATIENCE) -> None:
        """Do nothing, until the row is over. Raises OSError then."""
        if self.server.changed.wait(seconds):
            raise ConnectionAbortedError

    def reset(self) -> None:
        """End the connection by RST."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class ForeignServer:
    """A context manager: it listens on a port of 127.0.0.1 and answers as `play` says."""

    def __init__(self, port: int, play: Play) -> None:
        self._play = play
        self._listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.changed = threading.Event()  # the row of the open connections is over
        self.most_taken = 0  # bytes of one connection
        self.heads: list[bytes] = []
        self._came = threading.Condition()
        self._counts: Counter[bytes] = Counter()  # requests of the row by method
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept)

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join()
        self._end_row()
        for thread in self._threads:
            thread.join()

    def answer(self, play: Play) -> None:
        """Answer so from now on. Open connections are closed."""
        self._play = play
        self._end_row()
        self.changed = threading.Event()
        with self._came:
            self._counts.clear()

    def note(self, head: bytes) -> None:
        with self._came:
            self.heads.append(head)
            self._counts[head.partition(b" ")[0]] += 1
            self._came.notify_all()

    def was_asked(self, *methods: bytes, times: int) -> None:
        """Wait until so many requests of each method have come since the row began."""
        with self._came:
            assert self._came.wait_for(
                lambda: all(self._counts[method] >= times for method in methods), PATIENCE
            ), self._counts

    def _end_row(self) -> None:
        self.changed.set()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with self._listed(connection), contextlib.suppress(OSError):
            # little of what is sent may lie in buffers: what was taken is counted
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENT_AT_ONCE)
            self._play(Line(self, connection))

    @contextlib.contextmanager
    def _listed(self, connection: socket.socket) -> Iterator[None]:
        self._open.add(connection)
        try:
            with connection:
                yield
        finally:
            self._open.discard(connection)
