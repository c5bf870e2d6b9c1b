"""The load generator: posters and watchers on plain sockets and one epoll, in this process.

While it runs, it parses only the answers to posts. What watchers receive is stored with its arrival
times and verified afterwards, so an event costs little more than a few system calls.
"""

import select
import socket
import ssl
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from bench import wire
from bench.connections import BLOCK_BYTES, open_socket, receive_into, send_all
from bench.marks import Lane

TIMEOUT_SECONDS = 60.0  # for all posted events to arrive
HEARTBEAT_SECONDS = 15.0  # servers may close a WebSocket after a minute without a frame
HANDSHAKES = 64  # in progress at once
NORMAL = (1000).to_bytes(2, "big")  # the code of a close
_BLOCK = bytearray(BLOCK_BYTES)
_VIEW = memoryview(_BLOCK)

clock = time.perf_counter


class BenchFailed(Exception):
    """A server did not do its work; the message says what went wrong."""


class Generator:
    """With `tls`, the connections that it opens are over TLS, but for plain ones."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._epoll = select.epoll()
        self._ready: dict[int, Callable[[], None]] = {}
        self._next_heartbeat = clock() + HEARTBEAT_SECONDS
        self.watchers: list[Watcher] = []

    def connect(
        self, port: int, ready: Callable[[], None], *, plain: bool = False
    ) -> socket.socket:
        """Open a connection to loopback; `ready` is called when it has something to read."""
        sock = open_socket(port, None if plain else self._tls)
        self.add(sock, ready)
        return sock

    def add(self, sock: socket.socket, ready: Callable[[], None]) -> None:
        self._ready[sock.fileno()] = ready
        self._epoll.register(sock.fileno(), select.EPOLLIN)

    def remove(self, sock: socket.socket) -> None:
        if self._ready.pop(sock.fileno(), None):
            self._epoll.unregister(sock.fileno())
            sock.close()

    def run_once(self, until: float) -> None:
        """Handle ready sockets; wait for them until `until` at most, exact to some 50 µs."""
        # epoll's own timeout has a resolution of milliseconds; select's is finer
        wait = until - clock()
        if wait > 0:
            select.select([self._epoll.fileno()], [], [], wait)
        if clock() > self._next_heartbeat:
            self.send_heartbeat()
        for fd, _ in self._epoll.poll(0):
            if (ready := self._ready.get(fd)) is not None:
                ready()

    def send_heartbeat(self) -> None:
        """Send a heartbeat on every WebSocket, and schedule the next one."""
        self._next_heartbeat = clock() + HEARTBEAT_SECONDS
        for watcher in self.watchers:
            watcher.send_heartbeat()

    def run_until(self, done: Callable[[], bool], patience: float, what: str) -> None:
        deadline = clock() + patience
        while not done():
            if clock() > deadline:
                raise BenchFailed(f"{what}: not within {patience:.0f} s")
            self.run_once(min(deadline, clock() + 0.05))

    def keep_reading(self, seconds: float) -> None:
        """Keep reading for this time."""
        end = clock() + seconds
        while clock() < end:
            self.run_once(end)

    def close(self) -> None:
        self._epoll.close()


@contextmanager
def generator(tls: ssl.SSLContext | None = None) -> Iterator[Generator]:
    load = Generator(tls)
    try:
        yield load
    finally:
        load.close()


@dataclass(eq=False, slots=True)
class Watcher:
    """One stream of one user. `data` is what arrived after the response head."""

    load: Generator
    port: int
    user: int
    request: bytes
    greeting: bytes = b""  # what the peer's protocol requires the client to send first
    keep: bool = True
    quiet: bool = False  # send no heartbeats
    data: bytearray = field(default_factory=bytearray)
    # the length of `data` after each read, and the times of the reads
    lengths: list[int] = field(default_factory=list)
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
        self.sock = self.load.connect(self.port, self._ready)
        send_all(self.sock, self.request)
        self.load.watchers.append(self)

    def _ready(self) -> None:
        assert self.sock is not None
        if (size := receive_into(self.sock, _BLOCK)) is None:
            return
        if not size:
            self.ended = True
            self.load.remove(self.sock)
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
            raise BenchFailed(f"a stream was refused: {bytes(self.data[:600])!r}")
        self.chunked = b"chunked" in head.lower()
        del self.data[: end + 4]
        self.lengths.append(len(self.data))
        self.times.append(clock())
        self.open = True
        if self.greeting and self.sock is not None:
            send_all(self.sock, self.greeting)

    def send_heartbeat(self) -> None:
        """Send an unsolicited pong as a sign of life."""
        if self.quiet or self.sse or not self.open or self.ended or self.sock is None:
            return
        send_all(self.sock, wire.masked(wire.PONG))

    def send_close(self) -> None:
        """Say goodbye on a WebSocket, as clients do; servers may have more to do without it."""
        if self.open and not self.ended and not self.sse and self.sock is not None:
            with suppress(OSError):  # the server was faster
                send_all(self.sock, wire.masked(wire.CLOSE, NORMAL))

    def arrival_time(self, end: int) -> float:
        """When the first `end` bytes had arrived."""
        return self.times[bisect_left(self.lengths, end)]

    def clear(self) -> None:
        """Forget the received data; call it between two messages."""
        self.data.clear()
        self.lengths.clear()
        self.times.clear()

    def close(self) -> None:
        if self.sock is not None and not self.ended:
            self.load.remove(self.sock)


def open_watchers(
    load: Generator, watchers: Sequence[Watcher], patience: float = TIMEOUT_SECONDS
) -> float:
    """Open all of them, HANDSHAKES at a time; returns the seconds until the last was open."""
    began = clock()
    waiting = deque(watchers)
    under_way: list[Watcher] = []
    deadline = began + patience
    while waiting or under_way:
        while waiting and len(under_way) < HANDSHAKES:
            watcher = waiting.popleft()
            watcher.connect()
            under_way.append(watcher)
        load.run_once(clock() + 0.05)
        under_way = [watcher for watcher in under_way if not watcher.open]
        if any(watcher.ended for watcher in under_way):
            raise BenchFailed("a stream ended in its handshake")
        if clock() > deadline:
            raise BenchFailed(f"{len(waiting) + len(under_way)} streams did not open")
    return clock() - began


@dataclass(eq=False, slots=True)
class Poster:
    """One keep-alive connection that posts its lanes, one POST after the other."""

    load: Generator
    port: int
    lanes: list[Lane]
    plain: bool = False  # also where streams are over TLS
    sock: socket.socket | None = None
    busy: bool = False
    until: float = 0.0
    queue: deque[tuple[Lane, float]] = field(default_factory=deque)
    answers: list[float] = field(default_factory=list)  # seconds of each, since the due time
    # for each POST of an idle poster, seconds from its due time to its sending
    late: list[float] = field(default_factory=list)
    # status, lane and event numbers of each refused POST
    refused: list[tuple[int, Lane, range]] = field(default_factory=list)
    _buffer: bytes = b""
    _due: float = 0.0
    _lane: Lane = field(init=False)
    _turn: int = 0

    def connect(self) -> None:
        self.sock = self.load.connect(self.port, self._ready, plain=self.plain)

    def begin(self, until: float) -> None:
        """Post without pauses until this time, each lane in turn."""
        self.until = until
        self._next()

    def schedule(self, lane: Lane, when: float) -> None:
        """Post one request now, or after those that were due earlier."""
        self.queue.append((lane, when))
        if not self.busy:
            self.late.append(clock() - when)
            self._next()

    def _next(self) -> None:
        if self.queue:
            self._lane, self._due = self.queue.popleft()
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
        send_all(self.sock, self._lane.request())

    def _ready(self) -> None:
        assert self.sock is not None
        if (size := receive_into(self.sock, _BLOCK)) is None:
            return
        if not size:
            if self.busy:
                raise BenchFailed("a keep-alive connection was closed under a POST")
            self.close()  # idle for too long; `_next` opens another one
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
        if last:  # the server announced that it closes the connection
            self.close()
        self._next()

    def close(self) -> None:
        if self.sock is not None:
            self.load.remove(self.sock)
            self.sock = None
