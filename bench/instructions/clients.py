"""The clients of a counted Relay, in its own process, on real sockets.

They act whenever the scheduler has nothing left to run: they read all answers, and send the next
requests of all connections at once. So each run takes the same turns, however busy the machine is.
Their own instructions are counted, too: few beside a POST.
"""

import math
import socket
from collections.abc import Iterable, Sequence

import trio

ADDRESS = "127.0.0.1"
MAX_ANSWER_BYTES = 2**20


class WrongAnswer(Exception):
    """A server's answer is not the expected one, so what was counted is something else."""


class Poster:
    """Sends requests on one connection, one after the other. Each has to be answered with 200."""

    def __init__(self, port: int, requests: Iterable[bytes]) -> None:
        self._socket = socket.create_connection((ADDRESS, port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._requests = iter(requests)
        self._waits = False

    def act(self) -> bool:
        """Take the answer, and send the next request. Returns False when there is none."""
        if self._waits:
            answer = received(self._socket)
            if not answer:
                return True
            if not answer.startswith(b"HTTP/1.1 200 "):
                raise WrongAnswer(answer.decode())
        request = next(self._requests, None)
        if request is None:
            self.close()
            return False
        self._socket.sendall(request)
        self._waits = True
        return True

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


class Watcher:
    """Opens a stream, reads the beginning of it, and closes it; again and again."""

    def __init__(self, port: int, handshakes: Iterable[bytes]) -> None:
        self._port = port
        self._handshakes = iter(handshakes)
        self._socket: socket.socket | None = None

    def act(self) -> bool:
        """Close the open stream, and open the next one. Returns False when there is none."""
        if self._socket is not None:
            answer = received(self._socket)
            if not answer:
                return True
            check_beginning(answer)
            self.close()
        handshake = next(self._handshakes, None)
        if handshake is None:
            return False
        self._socket = socket.create_connection((ADDRESS, self._port))
        self._socket.sendall(handshake)
        return True

    def close(self) -> None:
        """Close the open stream, if there is one."""
        if self._socket is not None:
            self._socket.close()


class Reader:
    """Opens a stream that stays open. What comes after its beginning stays unread."""

    def __init__(self, port: int, handshake: bytes) -> None:
        self._socket = socket.create_connection((ADDRESS, port))
        self._socket.sendall(handshake)

    def act(self) -> bool:
        """Read the beginning of the stream. Returns False when it has come."""
        answer = received(self._socket)
        if answer:
            check_beginning(answer)
        return not answer

    def close(self) -> None:
        """Close the stream."""
        self._socket.close()


class Passing:
    """Lets time pass on a clock that stands still, one step whenever the scheduler is idle."""

    def __init__(self, clock: "StillClock", steps: Iterable[float]) -> None:
        self._clock = clock
        self._steps = iter(steps)

    def act(self) -> bool:
        """Take a step. Returns False when there is none."""
        step = next(self._steps, None)
        if step is None:
            return False
        self._clock.pass_by(step)
        trio.lowlevel.current_trio_token().run_sync_soon(lambda: None)  # ends the wait for sockets
        return True

    def close(self) -> None:
        pass


Client = Poster | Watcher | Reader | Passing


class Crowd(trio.abc.Instrument):
    """Clients that act together, each time that the scheduler is idle, until all are done."""

    def __init__(self, clients: Sequence[Client]) -> None:
        self._clients = list(clients)
        self._done = trio.Event()
        self._failure: Exception | None = None
        self._token: trio.lowlevel.TrioToken | None = None

    def before_io_wait(self, timeout: float) -> None:
        """Called by trio before it waits for sockets; `timeout` is 0 while tasks can run."""
        if timeout > 0 and self._token is not None:
            try:
                self._clients = [client for client in self._clients if client.act()]
            except Exception as failure:  # trio would log it, and go on without the instrument
                for client in self._clients:
                    client.close()
                self._clients, self._failure = [], failure
            if not self._clients:
                self._token.run_sync_soon(self._done.set)  # which ends the wait that is about to be
                self._token = None

    async def run(self) -> None:
        """Return when all are done. Raises WrongAnswer, OSError."""
        self._token = trio.lowlevel.current_trio_token()
        trio.lowlevel.add_instrument(self)
        await self._done.wait()
        trio.lowlevel.remove_instrument(self)
        if self._failure is not None:
            raise self._failure


class StillClock(trio.abc.Clock):
    """A clock that stands still, so that nothing becomes due while the slow program is counted.

    Time passes by `pass_by` alone.
    """

    def __init__(self) -> None:
        self._now = 0.0

    def pass_by(self, seconds: float) -> None:
        """Let so much time pass."""
        self._now += seconds

    def start_clock(self) -> None:
        pass

    def current_time(self) -> float:
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        return 0.0 if deadline <= self._now else math.inf


def received(sock: socket.socket) -> bytes:
    """What has arrived; empty if nothing has. Raises WrongAnswer at the end of the connection."""
    try:
        data = sock.recv(MAX_ANSWER_BYTES, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return b""
    if not data:
        raise WrongAnswer("the server has closed the connection")
    return data


def check_beginning(answer: bytes) -> None:
    """Check that these are the head of a stream and its `hello`. Raises WrongAnswer."""
    is_stream = answer.startswith((b"HTTP/1.1 101 ", b"HTTP/1.1 200 "))
    if not (is_stream and b'"type":"hello"' in answer):
        raise WrongAnswer(answer.decode(errors="replace"))
