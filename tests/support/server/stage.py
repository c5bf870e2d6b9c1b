"""What the tests of the server layer play with: a server, an application they direct, clients.

The server is the real one on a real socket. The application is a stage: each request becomes a
`Visit` whose receive and send the test itself calls, so that nothing happens unasked for.
"""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import h11
import trio
from hypercorn.config import Config
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request
from wsproto.events import Event as FrameEvent
from wsproto.extensions import PerMessageDeflate

from relay.server.limits import ConnectionLimits
from relay.server.listeners import open_sockets
from relay.server.observer import Observer
from relay.server.serve import ServerConfig, serve
from relay.server.transport import EXTENSION, Transport
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
    def transport(self) -> Transport:
        return self.scope["extensions"][EXTENSION]

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
    clients: list["Client"] = field(default_factory=list)

    async def connect(self) -> "Client":
        client = Client(await trio.open_tcp_stream("127.0.0.1", self.port))
        self.clients.append(client)
        return client

    async def ask(self, request: bytes) -> bytes:
        """Send these bytes on a connection of their own; all that comes back until the end."""
        client = await self.connect()
        await client.send(request)
        answer = await client.rest()
        client.drop()
        return answer

    async def websocket(self, *, head: bytes | None = None, extra: bytes = b"") -> "Client":
        """A connection that has asked for a WebSocket, but not read the answer."""
        client = await self.connect()
        await client.send((head or client.handshake()) + extra)
        return client


class Client:
    """A raw connection, with parsers at hand."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream: trio.SocketStream | trio.SSLStream[trio.SocketStream] = stream
        self._socket = stream.socket
        self.ws = WSConnection(ConnectionType.CLIENT)
        self._http = h11.Connection(h11.CLIENT)
        self._events: list[FrameEvent] = []

    def secure(self, trusting: ssl.SSLContext) -> None:
        """Speak TLS from now on."""
        assert isinstance(self.stream, trio.SocketStream)
        self.stream = trio.SSLStream(
            self.stream, trusting, server_hostname="127.0.0.1", https_compatible=True
        )

    def drop(self) -> None:
        self._socket.close()

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def rest(self) -> bytes:
        """Everything until the connection ends, by a reset, too."""
        received = bytearray()
        try:
            async for data in self.stream:
                received += data
        except trio.BrokenResourceError:
            pass
        return bytes(received)

    async def exactly(self, size: int) -> bytes:
        received = bytearray()
        while len(received) < size:
            data = await self.stream.receive_some(size - len(received))
            assert data, f"the connection ended after {received!r}"
            received += data
        return bytes(received)

    def handshake(self, path: str = "/") -> bytes:
        """A WebSocket request that offers compression, as browsers do."""
        request = Request(host="relay", target=path, extensions=[PerMessageDeflate()])
        return self.ws.send(request)

    async def accepted(self) -> AcceptConnection:
        event = await self.frame()
        assert isinstance(event, AcceptConnection), event
        return event

    async def frame(self) -> FrameEvent:
        """The next WebSocket event."""
        while not self._events:
            data = await self.stream.receive_some(65_536)
            self.ws.receive_data(data or None)
            self._events += self.ws.events()
        return self._events.pop(0)

    async def put(self, event: FrameEvent) -> None:
        await self.send(self.ws.send(event))

    async def response(self, *, method: str = "GET") -> tuple[h11.Response, bytes]:
        """The next HTTP response on this connection, which must have been asked for raw."""
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        self._http.send(h11.Request(method=method, target="/", headers=[("Host", "relay")]))
        self._http.send(h11.EndOfMessage())
        head: h11.Response | None = None
        body = bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(await self.stream.receive_some(65_536))
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                return head, bytes(body)


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
    server = Server(port, Recorder(), trio.Event(), trio.Event())

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
