"""The line between a Relay and its Postgres, as something that can fail: a TCP proxy."""

import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit

import trio

CHUNK = 65_536
NOTIFICATION = ord("A")  # the message that carries what was notified
LISTEN = b"LISTEN "


class Line:
    """A Postgres on a Unix socket, reached over TCP through here."""

    def __init__(self, dsn: str) -> None:
        asked = urlsplit(dsn)
        (folder,) = parse_qs(asked.query)["host"]
        self._path = f"{folder}/.s.PGSQL.5432"
        self._listener = trio.socket.socket()
        self._open = trio.Event()
        self._open.set()
        self._ends: set[trio.abc.AsyncResource] = set()
        self._nursery: trio.Nursery
        self.refusing = False
        self.deaf = False  # notifications get lost, and nothing else
        self.met: Callable[[int], None] = lambda port: None  # told each client's port, first
        self._credentials, self._database = asked.netloc.rpartition("@")[0], asked.path

    @property
    def dsn(self) -> str:
        port = self._listener.getsockname()[1]
        # without TLS every byte is a message of the protocol
        return f"postgresql://{self._credentials}@127.0.0.1:{port}{self._database}?sslmode=disable"

    def stall(self) -> None:
        """Nothing gets through from now on, in either direction; nobody is told."""
        self._open = trio.Event()

    def flow(self) -> None:
        """Everything that was held gets through, and whatever comes."""
        self.refusing = False
        self._open.set()

    async def cut(self) -> None:
        """Break every connection and accept no other."""
        self.refusing = True
        for end in list(self._ends):
            await trio.aclose_forcefully(end)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with self._listener:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            await self._listener.bind(("127.0.0.1", 0))
            self._listener.listen()
            async with trio.open_nursery() as self._nursery:
                task_status.started()
                while True:
                    client, _ = await self._listener.accept()
                    self._nursery.start_soon(self._carry, trio.SocketStream(client))

    async def _carry(self, client: trio.SocketStream) -> None:
        with suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            async with client:
                if self.refusing:
                    return
                self.met(client.socket.getpeername()[1])
                async with await trio.open_unix_socket(self._path) as server:
                    self._ends |= {client, server}
                    async with trio.open_nursery() as both:
                        both.start_soon(self._pass_on, client, server, both.cancel_scope)
                        both.start_soon(self._answer, server, client, both.cancel_scope)
        self._ends -= {client}

    async def _pass_on(
        self, client: trio.SocketStream, server: trio.SocketStream, scope: trio.CancelScope
    ) -> None:
        with suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await client.receive_some(CHUNK):
                await self._open.wait()
                await server.send_all(data)
        scope.cancel()

    async def _answer(
        self, server: trio.SocketStream, client: trio.SocketStream, scope: trio.CancelScope
    ) -> None:
        """Message by message: a kind, a length that counts itself, and what it says."""
        rest = b""
        with suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await server.receive_some(CHUNK):
                await self._open.wait()
                rest, passed = rest + data, b""
                while len(rest) >= 5:
                    end = 1 + struct.unpack_from("!I", rest, 1)[0]
                    if len(rest) < end:
                        break
                    if not (self.deaf and rest[0] == NOTIFICATION):
                        passed += rest[:end]
                    rest = rest[end:]
                await client.send_all(passed)
        scope.cancel()


@asynccontextmanager
async def line_to(dsn: str) -> AsyncIterator[Line]:
    line = Line(dsn)
    async with trio.open_nursery() as nursery:
        await nursery.start(line.run)
        yield line
        nursery.cancel_scope.cancel()
