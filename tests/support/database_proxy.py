"""The connection between a Relay and its Postgres, as something that can fail: a TCP proxy."""

import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import parse_qs, urlsplit

import trio

from tests.support.tcp_proxy import CHUNK_BYTES, TcpProxy, proxied

NOTIFICATION = ord("A")  # the message that carries what was notified


class Line(TcpProxy):
    """A Postgres on a Unix socket, reached over TCP through here."""

    def __init__(self, dsn: str) -> None:
        asked = urlsplit(dsn)
        (folder,) = parse_qs(asked.query)["host"]
        super().__init__(partial(trio.open_unix_socket, f"{folder}/.s.PGSQL.5432"))
        self._flows = trio.Event()
        self._flows.set()
        self.deaf = False  # notifications get lost, and nothing else
        self.met: Callable[[int], None] = lambda port: None  # called with each client's port, first
        self._credentials, self._database = asked.netloc.rpartition("@")[0], asked.path

    @property
    def dsn(self) -> str:
        # without TLS every byte is a message of the protocol
        where = f"{self._credentials}@127.0.0.1:{self.port}{self._database}"
        return f"postgresql://{where}?sslmode=disable"

    def stall(self) -> None:
        """Hold everything back from now on, in both directions, without a sign of it."""
        self._flows = trio.Event()

    def flow(self) -> None:
        """Let through everything that was held back, and whatever comes."""
        self.refusing = False
        self._flows.set()

    async def cut(self) -> None:
        """Break every connection and accept no other."""
        self.refusing = True
        await super().cut()

    def accepted(self, client: trio.SocketStream) -> None:
        self.met(client.socket.getpeername()[1])

    async def forward(self, client: trio.SocketStream, server: trio.SocketStream) -> None:
        while data := await client.receive_some(CHUNK_BYTES):
            await self._flows.wait()
            await server.send_all(data)

    async def answer(self, server: trio.SocketStream, client: trio.SocketStream) -> None:
        """Message by message: a kind, a length that counts itself, and the content."""
        rest = b""
        while data := await server.receive_some(CHUNK_BYTES):
            await self._flows.wait()
            rest, passed = rest + data, b""
            while len(rest) >= 5:
                end = 1 + struct.unpack_from("!I", rest, 1)[0]
                if len(rest) < end:
                    break
                if not (self.deaf and rest[0] == NOTIFICATION):
                    passed += rest[:end]
                rest = rest[end:]
            await client.send_all(passed)


@asynccontextmanager
async def line_to(dsn: str) -> AsyncIterator[Line]:
    line = Line(dsn)
    async with proxied(line):
        yield line
