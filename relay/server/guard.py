"""One connection of Hypercorn's trio worker, made safe to face strangers.

Hypercorn's own connection lets a stranger's malformed request end the process, a reader that
stopped reading keep a task for ever, and any number of connections in. This one ends alone,
in bounded time, and is counted.
"""

from math import inf
from typing import cast

import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState, LifespanState
from hypercorn.utils import parse_socket_addr

from .applications import ApplicationTasks
from .bounds import GuardLimits
from .guarded_h11 import GuardedH11Protocol
from .observer import Observer
from .refusals import overloaded
from .wire import Stream, TLSStream, Wire, plain_socket

__all__ = ["Connections", "GuardLimits", "GuardedTCPServer", "Observer"]

MAX_RECV = 16_384
"""Bytes taken from the socket at one time. h11 bounds only headers that are incomplete: those that
come in one piece are all parsed, and 64 KiB of the shortest would hold the loop for 90 ms."""


class Connections:
    """The live connections of one server, and what they share."""

    def __init__(self, limits: GuardLimits, observer: Observer) -> None:
        self.limits = limits
        self.observer = observer
        self.refusing = 0
        self._live: set[GuardedTCPServer] = set()
        self._idle: dict[GuardedTCPServer, None] = {}  # those that wait, the longest first
        self._emptied = trio.Event()

    def __len__(self) -> int:
        return len(self._live)

    @property
    def full(self) -> bool:
        return len(self._live) >= self.limits.max_connections

    def make_room(self) -> bool:
        """Whether one more may come. In a full house the one that waits longest has to go.

        Saying nothing is cheap: silent sockets, however many, must not keep others out.
        """
        if self.full and self._idle:
            next(iter(self._idle)).close_if_idle()
            self.observer.connection_displaced()
            return True
        return not self.full

    def add(self, connection: "GuardedTCPServer") -> None:
        self._live.add(connection)
        self.observer.connection_opened()

    def note_idle(self, connection: "GuardedTCPServer", idle: bool) -> None:
        """It waits for a request from now on, or no longer does."""
        self._idle.pop(connection, None)
        if idle:
            self._idle[connection] = None

    def remove(self, connection: "GuardedTCPServer") -> None:
        self._idle.pop(connection, None)
        self._live.remove(connection)
        self.observer.connection_closed()
        if not self._live:
            self._emptied.set()

    async def wait_none(self) -> None:
        """Return when there is no live connection."""
        while self._live:
            self._emptied = trio.Event()
            await self._emptied.wait()

    def close_idle(self) -> None:
        """End the connections that wait between two requests, or for their first."""
        for connection in tuple(self._live):
            connection.close_if_idle()

    def abort(self) -> None:
        """Drop all of them. Their writes are shielded: cancelling alone would wait for those."""
        for connection in tuple(self._live):
            connection.abort()


class GuardedTCPServer(TCPServer):
    """Serves one connection; whatever goes wrong with it ends here and nowhere else."""

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        state: LifespanState,
        connections: Connections,
        stream: Stream,
    ) -> None:
        super().__init__(app, config, context, state, cast("TLSStream", stream))
        self._stream = stream
        self._connections = connections
        self._limits = connections.limits
        self._observer = connections.observer
        self._wire: Wire | None = None
        self._waiting: trio.CancelScope | None = None
        self._idle_until = trio.current_time() + config.keep_alive_timeout
        self._spoke_last = False

    async def run(self) -> None:
        if not self._connections.make_room():
            await self._turn_away()
            return
        self._connections.add(self)
        try:
            if await self._secure():
                await self._serve()
        except* Exception as failures:
            self._observer.connection_failed(failures)
        finally:
            self.abort()
            self._connections.remove(self)

    async def protocol_send(self, event: Event) -> None:
        assert self._wire is not None
        if isinstance(event, RawData):
            if event.data:
                await self._wire.send(event.data)
        elif isinstance(event, Closed):
            self._spoke_last = True
            self._wire.hang_up()
        elif isinstance(event, Updated):
            idle = trio.current_time() + self.config.keep_alive_timeout
            self._wait_until(idle if event.idle else inf)

    def close_if_idle(self) -> None:
        if self._idle_until < inf:
            self._wait_until(-inf)

    def abort(self) -> None:
        if self._wire is not None:
            self._wire.abort()

    async def _secure(self) -> bool:
        """Shake hands if this is TLS; False if the peer did not."""
        if isinstance(self._stream, trio.SSLStream):
            try:
                with trio.fail_after(self.config.ssl_handshake_timeout):
                    await self._stream.do_handshake()
            except (trio.BrokenResourceError, trio.TooSlowError):
                return False
        return True

    async def _serve(self) -> None:
        socket = plain_socket(self._stream)
        try:
            client = parse_socket_addr(socket.family, socket.getpeername())
            server = parse_socket_addr(socket.family, socket.getsockname())
        except OSError:
            return  # gone before it was looked at
        async with ApplicationTasks(self._observer) as tasks:
            wire = self._wire = Wire(
                self._stream, self.send_lock, self._limits.send_timeout, tasks.spawn
            )
            self._protocol = GuardedH11Protocol(
                self.app,
                self.config,
                self.context,
                tasks,
                ConnectionState(self.state),
                isinstance(self._stream, trio.SSLStream),
                client,
                server,
                self.protocol_send,
                wire=wire,
                limits=self._limits,
                observer=self._observer,
            )
            try:
                self._wait_until(self._idle_until)
                with wire.reading:
                    await self._read_data()
                await self._protocol.handle(Closed())
                if self._spoke_last and not (wire.finished or wire.ended):
                    await self._part(self._limits.close_timeout)
            finally:
                wire.close()  # before the application is waited for: it may be writing
                if wire.stalled:
                    self._observer.connection_stalled()

    async def _read_data(self) -> None:
        """Hand what comes to the protocol, until an end: theirs, ours, or of patience.

        Only the wait for the next request has a deadline here. Hypercorn's `read_timeout` is
        not obeyed: it would cut streams that have nothing to say.
        """
        assert self._wire is not None
        data = b"-"
        while data:
            with trio.CancelScope(deadline=self._idle_until) as self._waiting:
                try:
                    data = bytes(await self._stream.receive_some(MAX_RECV))
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return
            if self._waiting.cancelled_caught:
                return
            self._wire.last_received = trio.current_time()
            await self._protocol.handle(RawData(data))

    def _wait_until(self, deadline: float) -> None:
        self._idle_until = deadline
        self._connections.note_idle(self, idle=-inf < deadline < inf)
        if self._waiting is not None:
            self._waiting.deadline = deadline

    async def _part(self, timeout: float) -> None:
        """Say that nothing follows, and read on until the peer has taken it in.

        Closing over unread bytes would reset the connection, and the peer might lose the last
        answer to the reset. For the same reason this reads past what nobody asked for.
        """
        with trio.move_on_after(timeout):
            try:
                if isinstance(self._stream, trio.SSLStream):
                    await self._stream.aclose()
                    return
                await self._stream.send_eof()
                left = self._limits.max_discarded
                while left > 0:
                    data = await self._stream.receive_some(MAX_RECV)
                    left = left - len(data) if data else 0
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # the peer, or a write that failed, was quicker

    async def _turn_away(self) -> None:
        """Tell one too many to come back; in bounded time, and for a bounded number at once."""
        self._observer.connection_refused()
        crowded = self._connections.refusing >= self._limits.max_refusals
        if crowded or isinstance(self._stream, trio.SSLStream):
            return
        self._connections.refusing += 1
        try:
            with trio.move_on_after(self._limits.refusal_timeout):
                await self._stream.send_all(overloaded(retry_after=1))
                await self._part(self._limits.refusal_timeout)
        except trio.BrokenResourceError:
            pass  # it did not wait for the answer
        finally:
            self._connections.refusing -= 1
