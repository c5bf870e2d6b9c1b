"""A proxy between a browser and Relay that passes on, refuses, swallows or breaks."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Literal

import trio

from tests.support.patience import PATIENCE
from tests.support.ports import HeldPort
from tests.support.relay_server import Relay, running_relay
from tests.support.tcp_proxy import CHUNK_BYTES, TcpProxy, proxied

END = b"\r\n\r\n"  # of a head
STREAM = re.compile(rb"GET (/api/(?:rt|sse)\S*) HTTP/1.1\r\n")
FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class PageProxy(TcpProxy):
    """Relay's address as browsers know it. `host` is a name that Chromium maps to here."""

    def __init__(self, port: int, host: str) -> None:
        super().__init__(partial(trio.open_tcp_stream, "127.0.0.1", port))
        self._host = host
        self.websockets: Literal["pass", "refuse", "swallow"] = "pass"
        self.streams: list[str] = []  # what was asked for of /api/rt and /api/sse, in order
        self._requested = trio.Event()
        self._streaming: set[trio.SocketStream] = set()
        self._stalled: set[trio.SocketStream] = set()

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self.port}"

    async def asked(self, count: int) -> None:
        """Wait until that many streams were asked for."""
        with trio.fail_after(PATIENCE):
            while len(self.streams) < count:
                await self._requested.wait()

    def stall(self) -> None:
        """Let nothing through on the streams that are open now, without a sign of it."""
        self._stalled |= self._streaming

    def closed(self, client: trio.SocketStream) -> None:
        self._streaming.discard(client)
        self._stalled.discard(client)

    async def forward(self, client: trio.SocketStream, server: trio.SocketStream) -> None:
        while data := await client.receive_some(CHUNK_BYTES):
            if (asked := STREAM.match(data)) is not None:
                self._note(client, asked[1].decode())
                if asked[1].startswith(b"/api/rt"):
                    if self.websockets == "refuse":
                        await client.send_all(FORBIDDEN)
                        return
                    if self.websockets == "swallow":
                        self._stalled.add(client)
            await server.send_all(data)

    def _note(self, client: trio.SocketStream, target: str) -> None:
        self.streams.append(target)
        self._streaming.add(client)
        self._requested.set()
        self._requested = trio.Event()

    async def answer(self, server: trio.SocketStream, client: trio.SocketStream) -> None:
        while data := await server.receive_some(CHUNK_BYTES):
            if client not in self._stalled:
                await client.send_all(data)
            elif data.startswith(b"HTTP/1.1 101"):  # yes to the handshake, and nothing more
                await client.send_all(data.partition(END)[0] + END)


@asynccontextmanager
async def relay_behind(
    database_url: str, host: str = "127.0.0.1", **settings: str
) -> AsyncIterator[tuple[PageProxy, Relay]]:
    """Browsers reach Relay through the proxy; producers, by `relay.http`, go past it."""
    held = HeldPort()
    proxy = PageProxy(held.number, host)
    bind = f"127.0.0.1:{held.number}"
    async with (
        proxied(proxy),
        running_relay(database_url, RELAY_BIND=bind, BASE_URL=proxy.url, **settings) as relay,
    ):
        relay.http.base_url = f"http://{bind}"
        yield proxy, relay
