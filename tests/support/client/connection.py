"""A connection to a server under test, in trio."""

import json
import socket
import ssl
import struct
from collections import deque
from contextlib import suppress
from functools import cached_property
from typing import Any, Self

import h11
import httpx
import trio
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    Message,
    Ping,
    Pong,
    RejectConnection,
)
from wsproto.extensions import PerMessageDeflate

from tests.support.client.protocol import (
    HOST,
    Headers,
    HttpParser,
    Response,
    WebSocketParser,
)
from tests.support.patience import PATIENCE

BROKEN = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)
"""What a connection that has ended raises."""


class Lost(ConnectionError):
    """The connection was refused, broke or ended; what became of a request is unknown."""


async def connected(port: int, window: int | None = None, host: str = HOST) -> trio.SocketStream:
    """A TCP connection; `window` is the size of its receive buffer. Raises Lost."""
    sock = trio.socket.socket()
    try:
        if window is not None:  # before connecting, where the window is negotiated
            sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, window)
        await sock.connect((host, port))
    except BaseException as error:
        sock.close()
        if isinstance(error, OSError):
            raise Lost(str(error)) from error
        raise
    return trio.SocketStream(sock)


class ClientConnection:
    """Any bytes out; responses and frames in, read when a test asks for them and not before."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream: trio.SocketStream | trio.SSLStream[trio.SocketStream] = stream
        self._socket = stream.socket
        self._frames: deque[Event] = deque()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close at once; TLS gets no goodbye."""
        await trio.aclose_forcefully(self.stream)

    def reset_when_closed(self) -> None:
        """Let the close be a reset (RST), not an end (FIN)."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    @cached_property
    def http(self) -> HttpParser:
        return HttpParser()

    @cached_property
    def ws(self) -> WebSocketParser:
        return WebSocketParser()

    # -- bytes

    @property
    def port(self) -> int:
        """The connection's own port, by which a test finds its other end."""
        return int(self._socket.getsockname()[1])

    @property
    def peer(self) -> str:
        """The server's address and port."""
        host, port = self._socket.getpeername()
        return f"{host}:{port}"

    def secure(self, trusting: ssl.SSLContext) -> None:
        """Use TLS from now on."""
        assert isinstance(self.stream, trio.SocketStream)
        self.stream = trio.SSLStream(
            self.stream, trusting, server_hostname=HOST, https_compatible=True
        )

    def drop(self) -> None:
        self._socket.close()

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def send_eof(self) -> None:
        assert isinstance(self.stream, trio.SocketStream)
        await self.stream.send_eof()

    async def receive(self, most: int = 65_536) -> bytes:
        """Some bytes; none at the end."""
        return bytes(await self.stream.receive_some(most))

    async def rest(self) -> bytes:
        """All bytes until the connection ends, by a reset, too."""
        received = bytearray()
        with suppress(*BROKEN):
            while data := await self.receive():
                received += data
        return bytes(received)

    async def exactly(self, size: int) -> bytes:
        received = bytearray()
        while len(received) < size:
            data = await self.receive(size - len(received))
            assert data, f"the connection ended after {received!r}"
            received += data
        return bytes(received)

    # -- HTTP

    async def response(self, method: str = "GET", headers: Headers = ()) -> tuple[Response, bytes]:
        """The next response to bytes sent with `send`; `method` and `headers` are the request's.

        They decide whether the response has a body, or switches the protocol.
        """
        self.http.request(method, "/", [("Host", "relay"), *headers])
        return await self.next_response()

    async def answer(self, method: str = "POST", **headers: str) -> httpx.Response:
        """The same, as httpx has it."""
        response, body = await self.response(method, headers.items())
        return httpx.Response(response.status_code, headers=list(response.headers), content=body)

    async def http_event(self) -> Any:
        """h11's next event."""
        while (event := self.http.event()) is h11.NEED_DATA:
            self.http.receive(await self.receive())
        return event

    async def next_response(self) -> tuple[Response, bytes]:
        """The next response to a request made by `http`."""
        with trio.fail_after(PATIENCE):
            while (response := self.http.response()) is None:
                self.http.receive(await self.receive())
        return response

    # -- WebSocket

    def handshake(self, path: str = "/") -> bytes:
        """The bytes of a handshake that offers compression, as browsers do."""
        return self.ws.handshake(path, extensions=[PerMessageDeflate()])

    async def open_websocket(self, target: str, headers: Headers = (), *subprotocols: str) -> None:
        await self.send(self.ws.handshake(target, headers, subprotocols))
        await self.accepted()

    async def accepted(self) -> AcceptConnection:
        event = await self.frame()
        assert not isinstance(event, RejectConnection), event
        assert isinstance(event, AcceptConnection), event
        return event

    async def frame(self) -> Event:
        """The next thing the server does: a frame, or the end (CloseConnection, LOST)."""
        with trio.fail_after(PATIENCE):
            while not self._frames:
                try:
                    data = await self.receive()
                except trio.BrokenResourceError:
                    data = b""
                self._frames += self.ws.receive(data)
        return self._frames.popleft()

    async def put(self, event: Event) -> None:
        await self.send(self.ws.send(event))

    async def say(self, text: str) -> None:
        await self.put(Message(data=text))

    async def pong(self, ping: Ping) -> None:
        await self.put(ping.response())

    async def message(self, *, answering: bool = False) -> Any:
        """The next message as JSON; pings are skipped, answered or not. At the end the close code.

        The close itself is not answered.
        """
        while True:
            event = await self.frame()
            if isinstance(event, CloseConnection):
                return int(event.code)
            if isinstance(event, Ping) and answering:
                await self.pong(event)
            if (text := self.ws.text(event)) is not None:
                return json.loads(text)

    async def hello(self) -> Any:
        message = await self.message()
        assert message["type"] == "hello", message
        return message

    async def ping(self) -> Ping:
        """The next ping; messages before it are skipped."""
        while not isinstance(event := await self.frame(), Ping):
            assert not isinstance(event, CloseConnection | Pong), event
        return event

    async def close_code(self) -> int:
        """The code of the server's close frame; frames before it are skipped."""
        while not isinstance(event := await self.frame(), CloseConnection):
            pass
        return int(event.code)
