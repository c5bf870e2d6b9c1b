"""One connection from accept to close, whoever speaks on it: admitted, secured, served, parted.

What goes wrong on it ends here, and nowhere else.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from math import inf
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState
from hypercorn.utils import parse_socket_addr

from .connections import Connections
from .wire import MAX_RECV, Stream, Wire, plain_socket

Address = tuple[str, int] | None


class Connection(ABC):
    """What every layer has in common; `_converse` is what sets it apart."""

    def __init__(
        self,
        app: ASGIFramework,
        config: Config,
        context: WorkerContext,
        state: ConnectionState,
        connections: Connections,
        stream: Stream,
    ) -> None:
        self._app = app
        self._config = config
        self._context = context
        self._state = state
        self._connections = connections
        self._stream = stream
        self._limits = connections.limits
        self._observer = connections.observer
        self._refusals = connections.refusals
        self._wire: Wire | None = None
        self.idle_until = inf
        self._spoke_last = False

    @abstractmethod
    async def _converse(self, client: Address, server: Address) -> None:
        """Open the wire and serve until one side, or patience, comes to its end."""

    @abstractmethod
    def _stop_waiting(self, wire: Wire) -> None:
        """End, for no request has come."""

    async def run(self) -> None:
        """All of it; returns when the socket is closed, and raises nothing but cancellations."""
        if not self._connections.make_room():
            await self._turn_away()
            return
        self._connections.add(self)
        try:
            if await self._secure() and not self._is_last_call and (peers := self._peers()):
                await self._converse(*peers)
        except* Exception as failures:
            self._observer.connection_failed(failures)
        finally:
            self.abort()
            self._connections.remove(self)

    def close_if_idle(self) -> None:
        if self.idle_until < inf and self._wire is not None:
            self._be_busy()
            self._stop_waiting(self._wire)

    def abort(self) -> None:
        if self._wire is not None:
            self._wire.abort()

    @property
    def _is_last_call(self) -> bool:
        """Whether the server stops: nobody is to wait for another request."""
        return self._context.terminated.is_set()

    @property
    def _is_tls(self) -> bool:
        return isinstance(self._stream, trio.SSLStream)

    async def _secure(self) -> bool:
        """Shake hands if this is TLS; False if the peer did not."""
        if isinstance(self._stream, trio.SSLStream):
            try:
                with trio.fail_after(self._config.ssl_handshake_timeout):
                    await self._stream.do_handshake()
            except (trio.BrokenResourceError, trio.TooSlowError):
                return False
        return True

    def _peers(self) -> tuple[Address, Address] | None:
        """The client's address and ours; None: it was gone before it was looked at."""
        socket = plain_socket(self._stream)
        try:
            client = parse_socket_addr(socket.family, socket.getpeername())
            return client, parse_socket_addr(socket.family, socket.getsockname())
        except OSError:
            return None

    def _open_wire(self, spawn: Callable[[Callable[[], Awaitable[None]]], Any]) -> Wire:
        self._wire = Wire(self._stream, self._limits.send_timeout, spawn)
        return self._wire

    async def _leave(self, wire: Wire) -> None:
        """Part from a peer that we told that nothing follows."""
        if self._spoke_last and not (wire.finished or wire.ended):
            await self._part_politely()

    def _let_go(self, wire: Wire) -> None:
        wire.close()
        if wire.stalled:
            self._observer.connection_stalled()

    def _be_idle(self) -> None:
        """A request is waited for from now on, and not for ever."""
        self.idle_until = trio.current_time() + self._config.keep_alive_timeout
        self._connections.note_idle(self, idle=True)

    def _be_busy(self) -> None:
        """One has come, or will not."""
        self.idle_until = inf
        self._connections.note_idle(self, idle=False)

    async def _part_politely(self) -> None:
        await self._part(self._limits.close_timeout)

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
                await self._stream.send_all(self._refusals.overloaded(retry_after=1))
                await self._part(self._limits.refusal_timeout)
        except trio.BrokenResourceError:
            pass  # it did not wait for the answer
        finally:
            self._connections.refusing -= 1
