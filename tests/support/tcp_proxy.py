"""A TCP proxy that a test can break: the part that all of them share."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import trio

from tests.support.client.connection import BROKEN

CHUNK_BYTES = 65_536

Dial = Callable[[], Awaitable[trio.SocketStream]]


class TcpProxy:
    """Connections to `port` of 127.0.0.1 go on to where `dial` leads."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._open: dict[trio.SocketStream, trio.CancelScope] = {}
        self.refusing = False  # new connections end at once
        self.port = 0

    async def cut(self) -> None:
        """Break the open connections; new ones are taken, unless `refusing`."""
        for scope in self._open.values():
            scope.cancel()

    async def forward(self, client: trio.SocketStream, server: trio.SocketStream) -> None:
        """Pass on what the client sends. Overridden by proxies that look at it."""
        while data := await client.receive_some(CHUNK_BYTES):
            await server.send_all(data)

    async def answer(self, server: trio.SocketStream, client: trio.SocketStream) -> None:
        """Pass on what the server sends. Overridden by proxies that look at it."""
        while data := await server.receive_some(CHUNK_BYTES):
            await client.send_all(data)

    def accepted(self, client: trio.SocketStream) -> None:
        """A connection was taken."""

    def closed(self, client: trio.SocketStream) -> None:
        """A connection has ended."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._carry, listeners)

    async def _carry(self, client: trio.SocketStream) -> None:
        with trio.CancelScope() as scope, suppress(*BROKEN):
            if not self.refusing:
                self._open[client] = scope
                self.accepted(client)
                async with await self._dial() as server, trio.open_nursery() as both:
                    both.start_soon(self._pass_on, self.forward, client, server, scope)
                    both.start_soon(self._pass_on, self.answer, server, client, scope)
        self._open.pop(client, None)
        self.closed(client)
        await trio.aclose_forcefully(client)

    async def _pass_on(
        self,
        way: Callable[[trio.SocketStream, trio.SocketStream], Awaitable[None]],
        source: trio.SocketStream,
        sink: trio.SocketStream,
        scope: trio.CancelScope,
    ) -> None:
        with suppress(*BROKEN):
            await way(source, sink)
        scope.cancel()


@asynccontextmanager
async def proxied(proxy: TcpProxy) -> AsyncIterator[None]:
    """The proxy takes connections for the length of the block."""
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.run)
        yield
        nursery.cancel_scope.cancel()
