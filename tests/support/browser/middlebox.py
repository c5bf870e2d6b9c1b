"""What may stand between a browser and Relay: a proxy that passes on, refuses, swallows, breaks."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal

import trio

from tests.support.patience import PATIENCE
from tests.support.ports import HeldPort
from tests.support.relay_server import Relay, running_relay

CHUNK = 65_536
END = b"\r\n\r\n"  # of a head
STREAM = re.compile(rb"GET (/api/(?:rt|sse)\S*) HTTP/1.1\r\n")
FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
BROKEN = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


class Middlebox:
    """Relay's address as browsers know it. `host` is a name that Chromium maps to here."""

    def __init__(self, listener: trio.SocketListener, port: int, host: str) -> None:
        self._listener = listener
        self._behind = port
        self.url = f"http://{host}:{listener.socket.getsockname()[1]}"
        self.away = False  # nobody gets through
        self.websockets: Literal["pass", "refuse", "swallow"] = "pass"
        self.streams: list[str] = []  # what was asked for of /api/rt and /api/sse, in order
        self._news = trio.Event()
        self._open: dict[trio.SocketStream, trio.CancelScope] = {}
        self._streaming: set[trio.SocketStream] = set()
        self._stalled: set[trio.SocketStream] = set()

    async def asked(self, count: int) -> None:
        """Wait until that many streams were asked for."""
        with trio.fail_after(PATIENCE):
            while len(self.streams) < count:
                await self._news.wait()

    async def cut(self) -> None:
        """Break whatever is open; what comes next is welcome unless `away`."""
        for scope in self._open.values():
            scope.cancel()

    def stall(self) -> None:
        """Nothing comes through the streams that are open now, and nobody is told."""
        self._stalled |= self._streaming

    async def run(self) -> None:
        await trio.serve_listeners(self._carry, [self._listener])

    async def _carry(self, browser: trio.SocketStream) -> None:
        with trio.CancelScope() as scope, suppress(*BROKEN):
            if self.away:
                return
            self._open[browser] = scope
            relay = await trio.open_tcp_stream("127.0.0.1", self._behind)
            async with browser, relay, trio.open_nursery() as both:
                both.start_soon(self._answers, relay, browser, scope)
                await self._questions(browser, relay)
                scope.cancel()
        self._open.pop(browser, None)
        self._streaming.discard(browser)
        await trio.aclose_forcefully(browser)

    async def _questions(self, browser: trio.SocketStream, relay: trio.SocketStream) -> None:
        with suppress(*BROKEN):
            while data := await browser.receive_some(CHUNK):
                if (asked := STREAM.match(data)) is not None:
                    self.streams.append(asked[1].decode())
                    self._streaming.add(browser)
                    self._news.set()
                    self._news = trio.Event()
                    if asked[1].startswith(b"/api/rt") and self.websockets == "refuse":
                        await browser.send_all(FORBIDDEN)
                        return
                    if asked[1].startswith(b"/api/rt") and self.websockets == "swallow":
                        self._stalled.add(browser)
                await relay.send_all(data)

    async def _answers(
        self, relay: trio.SocketStream, browser: trio.SocketStream, scope: trio.CancelScope
    ) -> None:
        with suppress(*BROKEN):
            while data := await relay.receive_some(CHUNK):
                if browser not in self._stalled:
                    await browser.send_all(data)
                elif data.startswith(b"HTTP/1.1 101"):  # yes to the handshake, and nothing more
                    await browser.send_all(data.partition(END)[0] + END)
        scope.cancel()


@asynccontextmanager
async def relay_behind(
    database_url: str, host: str = "127.0.0.1", **settings: str
) -> AsyncIterator[tuple[Middlebox, Relay]]:
    """Browsers reach Relay through the box; producers, by `relay.http`, go past it."""
    held = HeldPort()
    port = held.number
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    box = Middlebox(listener, port, host)
    async with (
        trio.open_nursery() as nursery,
        running_relay(
            database_url, RELAY_BIND=f"127.0.0.1:{port}", BASE_URL=box.url, **settings
        ) as relay,
    ):
        nursery.start_soon(box.run)
        relay.http.base_url = f"http://127.0.0.1:{port}"
        yield box, relay
        nursery.cancel_scope.cancel()
