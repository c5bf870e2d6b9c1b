"""The load: posters and watchers on one epoll, in this process, on bare sockets.

Nothing is parsed while it runs but the answers to posts; what watchers get is kept as it came,
with its time, and judged afterwards. So an event costs a few system calls and little else.
"""

import select
import socket
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench import wire
from bench.marks import Lane

PATIENCE = 60.0  # seconds for whatever was posted to arrive
BEAT = 15.0  # seconds between signs of life: a minute without one may end a stream
HANDSHAKES = 64  # under way at once
_BLOCK = bytearray(2**18)
_VIEW = memoryview(_BLOCK)

clock = time.perf_counter


class Failed(Exception):
    """A server did not do what it is measured at; the message says what."""


class Generator:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._ready: dict[int, Callable[[], None]] = {}
        self._next_beat = clock() + BEAT
        self.watchers: list[Watcher] = []

    def add(self, sock: socket.socket, ready: Callable[[], None]) -> None:
        self._ready[sock.fileno()] = ready
        self._epoll.register(sock.fileno(), select.EPOLLIN)

    def drop(self, sock: socket.socket) -> None:
        if self._ready.pop(sock.fileno(), None):
            self._epoll.unregister(sock.fileno())
            sock.close()

    def turn(self, until: float) -> None:
        """Serve what is ready; wait for it until that time at most, to some 50 microseconds."""
        # epoll itself counts in whole milliseconds; select on it does not
        wait = until - clock()
        if wait > 0:
            select.select([self._epoll.fileno()], [], [], wait)
        if clock() > self._next_beat:
            self.beat()
        for fd, _ in self._epoll.poll(0):
            if (ready := self._ready.get(fd)) is not None:
                ready()

    def beat(self) -> None:
        """Show a sign of life on every WebSocket, and again a while later."""
        self._next_beat = clock() + BEAT
        for watcher in self.watchers:
            watcher.beat()

    def until(self, done: Callable[[], bool], patience: float, what: str) -> None:
        deadline = clock() + patience
        while not done():
            if clock() > deadline:
                raise Failed(f"{what}: not within {patience:.0f} s")
            self.turn(min(deadline, clock() + 0.05))

    def rest(self, seconds: float) -> None:
        """Go on reading for so long."""
        end = clock() + seconds
        while clock() < end:
            self.turn(end)

    def close(self) -> None:
        self._epoll.close()


@contextmanager
def generator() -> Iterator[Generator]:
    load = Generator()
    try:
        yield load
    finally:
        load.close()


def connected(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(False)
    return sock


def _received(sock: socket.socket) -> int | None:
    """How much came into the block; None: nothing yet; 0: the end, by a reset, too."""
    try:
        return sock.recv_into(_BLOCK)
    except BlockingIOError:
        return None
    except OSError:
        return 0


@dataclass(eq=False, slots=True)
class Watcher:
    """One stream, of one user. `data` is what came after the answer's head."""

    load: Generator
    port: int
    user: int
    request: bytes
    greeting: bytes = b""  # a protocol's own first words
    keep: bool = True
    data: bytearray = field(default_factory=bytearray)
    lengths: list[int] = field(default_factory=list)  # of `data`, each time it grew
    times: list[float] = field(default_factory=list)
    open: bool = False
    ended: bool = False
    sse: bool = False
    chunked: bool = False
    began: float = 0.0
    sock: socket.socket | None = None

    def connect(self) -> None:
        self.sse = b"\r\nUpgrade: websocket" not in self.request
        self.began = clock()
        self.sock = connected(self.port)
        self.sock.send(self.request)
        self.load.add(self.sock, self._ready)
        self.load.watchers.append(self)

    def _ready(self) -> None:
        if (size := _received(self.sock)) is None:
            return
        if not size:
            self.ended = True
            self.load.drop(self.sock)
        elif self.open:
            if self.keep:
                self.data += _VIEW[:size]
                self.lengths.append(len(self.data))
                self.times.append(clock())
        else:
            self.data += _VIEW[:size]
            self._answered()

    def _answered(self) -> None:
        end = self.data.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self.data[:end])
        if int(head[9:12]) not in (101, 200):
            raise Failed(f"a stream was refused: {bytes(self.data[:600])!r}")
        self.chunked = b"chunked" in head.lower()
        del self.data[: end + 4]
        self.lengths.append(len(self.data))
        self.times.append(clock())
        self.open = True
        if self.greeting:
            self.sock.send(self.greeting)

    def beat(self) -> None:
        """Show a sign of life: an unasked pong."""
        if self.open and not self.ended and not self.sse:
            self.sock.send(wire.masked(wire.PONG))

    def came(self, end: int) -> float:
        """When so many bytes were here."""
        return self.times[bisect_left(self.lengths, end)]

    def forget(self) -> None:
        """Start over, between two messages."""
        self.data.clear()
        self.lengths.clear()
        self.times.clear()

    def close(self) -> None:
        if self.sock is not None and not self.ended:
            self.load.drop(self.sock)


def open_watchers(
    load: Generator, watchers: Sequence[Watcher], patience: float = PATIENCE
) -> float:
    """Open them all, some at a time; seconds until the last one was."""
    began = clock()
    waiting = deque(watchers)
    under_way: list[Watcher] = []
    deadline = began + patience
    while waiting or under_way:
        while waiting and len(under_way) < HANDSHAKES:
            watcher = waiting.popleft()
            watcher.connect()
            under_way.append(watcher)
        load.turn(clock() + 0.05)
        under_way = [watcher for watcher in under_way if not watcher.open]
        if any(watcher.ended for watcher in under_way):
            raise Failed("a stream ended in its handshake")
        if clock() > deadline:
            raise Failed(f"{len(waiting) + len(under_way)} streams did not open")
    return clock() - began


@dataclass(eq=False, slots=True)
class Poster:
    """One keep-alive connection and the lanes it posts: the next POST leaves after the answer."""

    load: Generator
    port: int
    lanes: list[Lane]
    sock: socket.socket | None = None
    busy: bool = False
    until: float = 0.0
    waits: deque[tuple[Lane, float]] = field(default_factory=deque)
    answers: list[float] = field(default_factory=list)  # seconds each took, since it was due
    late: list[float] = field(
        default_factory=list
    )  # seconds an idle poster sent after the due time
    refused: list[tuple[int, Lane, range]] = field(default_factory=list)  # status and numbers
    _buffer: bytes = b""
    _due: float = 0.0
    _lane: Lane = field(init=False)
    _turn: int = 0

    def connect(self) -> None:
        self.sock = connected(self.port)
        self.load.add(self.sock, self._ready)

    def begin(self, until: float) -> None:
        """Post one after the other, each lane in turn, until that time."""
        self.until = until
        self._next()

    def due(self, lane: Lane, when: float) -> None:
        """Post this now, or as soon as what was due before is answered."""
        self.waits.append((lane, when))
        if not self.busy:
            self.late.append(clock() - when)
            self._next()

    def _next(self) -> None:
        if self.waits:
            self._lane, self._due = self.waits.popleft()
        elif (now := clock()) < self.until:
            self._lane, self._due = self.lanes[self._turn % len(self.lanes)], now
            self._turn += 1
        else:
            self.busy = False
            return
        self.busy = True
        if self.sock is None:
            self.connect()
        assert self.sock is not None
        request = self._lane.request()
        sent = self.sock.send(request)
        if sent < len(request):  # a large batch: loopback takes the rest soon
            self.sock.setblocking(True)
            self.sock.sendall(memoryview(request)[sent:])
            self.sock.setblocking(False)

    def _ready(self) -> None:
        if (size := _received(self.sock)) is None:
            return
        if not size:
            if self.busy:
                raise Failed("a keep-alive connection was closed under a POST")
            self.close()  # idle for too long; another one is made when there is something to post
            return
        data = self._buffer + _VIEW[:size] if self._buffer else bytes(_VIEW[:size])
        if (found := wire.answer(data)) is None:
            self._buffer = data
            return
        status, length, last = found
        self._buffer = data[length:]
        self.answers.append(clock() - self._due)
        if not 200 <= status < 300:
            lane = self._lane
            self.refused.append((status, lane, range(lane.sent - lane.batch, lane.sent)))
        if last:  # a server ends a connection after so many requests, and says so
            self.close()
        self._next()

    def close(self) -> None:
        if self.sock is not None:
            self.load.drop(self.sock)
            self.sock = None
