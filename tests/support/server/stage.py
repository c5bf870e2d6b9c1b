"""What tests of the server layer use: a server, an application that they direct, clients.

The server is the real one on a real socket. The application is a stage: each request becomes a
`Visit` whose receive and send the test itself calls, so that nothing happens unasked for.
"""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio
from hypercorn.config import Config

from relay.server.handle import HANDLE_EXTENSION, ConnectionHandle
from relay.server.limits import ConnectionLimits
from relay.server.listeners import open_sockets
from relay.server.observer import Observer
from relay.server.serve import ServerConfig, serve
from tests.support.client.connection import ClientConnection, connected
from tests.support.patience import PATIENCE

HOUR = 3600.0  # seconds: what must not be waited for in a test, nor end anything by accident


class Recorder(Observer):
    """Counts what it hears, and lets a test wait for it."""

    def __init__(self) -> None:
        self.opened = self.closed = self.refused = self.displaced = self.stalled = 0
        self.failures: list[BaseException] = []
        self.application_failures: list[BaseException] = []
        self.refusals: list[int] = []
        self._changed = trio.Event()

    def connection_opened(self) -> None:
        self.opened += 1
        self._change()

    def connection_closed(self) -> None:
        self.closed += 1
        self._change()

    def connection_refused(self) -> None:
        self.refused += 1
        self._change()

    def connection_displaced(self) -> None:
        self.displaced += 1
        self._change()

    def connection_stalled(self) -> None:
        self.stalled += 1
        self._change()

    def connection_failed(self, failure: BaseException) -> None:
        self.failures.append(failure)
        self._change()

    def application_failed(self, failure: BaseException) -> None:
        self.application_failures.append(failure)
        self._change()

    def request_refused(self, status: int, code: str, request_id: str) -> None:
        self.refusals.append(status)
        self._change()

    @property
    def live(self) -> int:
        return self.opened - self.closed

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await self._changed.wait()

    def _change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@dataclass
class Visit:
    """One request on the stage; the application returns when the test calls `leave`."""

    scope: dict[str, Any]
    receive: Callable[[], Awaitable[dict[str, Any]]]
    send: Callable[[dict[str, Any]], Awaitable[None]]
    left: trio.Event = field(default_factory=trio.Event)

    @property
    def handle(self) -> ConnectionHandle:
        handle: ConnectionHandle = self.scope["extensions"][HANDLE_EXTENSION]
        return handle

    def leave(self) -> None:
        self.left.set()

    async def accept(self) -> None:
        assert (await self.receive())["type"] == "websocket.connect"
        await self.send({"type": "websocket.accept", "subprotocol": None, "headers": []})

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self.send({"type": "websocket.close", "code": code, "reason": reason})

    async def start(self, *headers: tuple[bytes, bytes], status: int = 200) -> None:
        await self.send({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def body(self, data: bytes = b"", *, more: bool = False) -> None:
        await self.send({"type": "http.response.body", "body": data, "more_body": more})

    async def respond(self, data: bytes = b"ok") -> None:
        await self.start((b"content-length", b"%d" % len(data)))
        await self.body(data)


class Stage:
    """The application: hands every request to the test."""

    def __init__(self) -> None:
        self._arrive, self._arrivals = trio.open_memory_channel[Visit](100)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        visit = Visit(scope, receive, send)
        await self._arrive.send(visit)
        await visit.left.wait()

    async def visit(self) -> Visit:
        """The next request."""
        return await self._arrivals.receive()


async def lifespan(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


@dataclass
class Server:
    port: int
    observer: Recorder
    stop: trio.Event
    stopped: trio.Event
    trusting: ssl.SSLContext | None = None  # of clients, where the server has a certificate
    clients: list[ClientConnection] = field(default_factory=list)

    async def connect(self) -> ClientConnection:
        client = ClientConnection(await connected(self.port))
        self.clients.append(client)
        if self.trusting is not None:
            client.secure(self.trusting)
        return client

    async def ask(self, request: bytes) -> bytes:
        """Send these bytes on a connection of their own; all that comes back until the end."""
        client = await self.connect()
        await client.send(request)
        answer = await client.rest()
        client.drop()
        return answer

    async def websocket(self, *, head: bytes | None = None, extra: bytes = b"") -> ClientConnection:
        """A connection that has asked for a WebSocket, but not read the answer."""
        client = await self.connect()
        await client.send((head or client.handshake()) + extra)
        return client


def get(path: str = "/", *headers: str, version: str = "1.1") -> bytes:
    lines = [f"GET {path} HTTP/{version}", "Host: relay", *headers]
    return "\r\n".join(lines).encode("latin1") + b"\r\n\r\n"


def configuration(**settings: Any) -> Config:
    defaults = {"bind": ["127.0.0.1:0"], "graceful_timeout": 1.0, "include_date_header": False}
    defaults |= {"keep_alive_timeout": HOUR}
    return Config.from_mapping(defaults | settings)


@asynccontextmanager
async def serving(
    app: Any,
    *,
    limits: ConnectionLimits | None = None,
    drain: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint,
    **settings: Any,
) -> AsyncIterator[Server]:
    """A server for the length of the block; afterwards it has stopped, and nothing failed."""
    config = configuration(**settings)
    sockets = open_sockets(config)
    port = (sockets.insecure_sockets or sockets.secure_sockets)[0].getsockname()[1]
    trusting = _trusting(config.certfile) if config.certfile else None
    server = Server(port, Recorder(), trio.Event(), trio.Event(), trusting)

    async def run(*, task_status: trio.TaskStatus[list[str]]) -> None:
        await serve(
            app,
            sockets,
            ServerConfig(
                hypercorn=config,
                limits=limits or ConnectionLimits(close_timeout=HOUR, send_timeout=HOUR),
                observer=server.observer,
                drain=drain,
            ),
            shutdown_trigger=server.stop.wait,
            task_status=task_status,
        )
        server.stopped.set()

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            await nursery.start(run)
            try:
                yield server
            finally:
                for client in server.clients:
                    client.drop()
            server.stop.set()
    assert server.observer.failures == []


def _trusting(certificate: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificate)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


async def opened(server: Server, stage: Stage) -> tuple[ClientConnection, Visit]:
    """A WebSocket that the application has accepted."""
    client = await server.websocket()
    visit = await stage.visit()
    await visit.accept()
    await client.accepted()
    return client, visit
