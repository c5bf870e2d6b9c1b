"""Clients thin enough for hundreds: HTTP/1.1, WebSocket and SSE on bare sockets, in trio."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Self

import h11
import trio
import wsproto
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)

from tests.support.patience import PATIENCE

HOST = "127.0.0.1"
AGAIN = 0.1  # seconds before whoever was refused or lost tries again
DOORS = ("websocket", "sse")


class Lost(Exception):
    """The connection was refused, broke or ended: nobody knows what became of a request."""


class Refused(Exception):
    """A stream was not opened; says why."""

    def __init__(self, answer: "Answer") -> None:
        super().__init__(f"{answer.status} {answer.body[:200]!r}")
        self.answer = answer


class Ended(Exception):
    """A stream that was open is over; `code` is the WebSocket close code, if there was one."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"close code {code}")
        self.code = code


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def connected(port: int, window: int | None = None) -> trio.SocketStream:
    sock = trio.socket.socket()
    try:
        if window is not None:  # before connecting: it is negotiated there
            sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, window)
        await sock.connect((HOST, port))
    except BaseException as error:
        sock.close()
        if isinstance(error, OSError):
            raise Lost(str(error)) from error
        raise
    return trio.SocketStream(sock)


class Caller:
    """Requests one after the other on one kept connection, opened anew when it was lost."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._tcp: trio.SocketStream | None = None
        self._http = h11.Connection(h11.CLIENT)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._drop()

    async def _drop(self) -> None:
        if self._tcp is not None:
            await trio.aclose_forcefully(self._tcp)
            self._tcp = None

    async def call(
        self,
        method: str,
        path: str,
        token: str | None = None,
        body: bytes = b"",
        content_type: str = "application/json",
    ) -> Answer:
        """Raises Lost; a request without an answer fails the test."""
        try:
            with trio.fail_after(PATIENCE):
                if self._tcp is None:
                    self._tcp = await connected(self._port)
                    self._http = h11.Connection(h11.CLIENT)
                return await self._exchange(request(method, path, token, body, content_type), body)
        except (OSError, trio.BrokenResourceError, h11.RemoteProtocolError, EOFError) as error:
            raise Lost(repr(error)) from error
        except BaseException:
            await self._drop()
            raise
        finally:
            if self._http.our_state is not h11.IDLE:
                await self._drop()

    async def insist(
        self,
        method: str,
        path: str,
        token: str | None = None,
        body: bytes = b"",
        content_type: str = "application/json",
    ) -> Answer:
        """The same as often as the answer is 503, which is what clients are to do.

        A machine that stands still for a few seconds makes Relay take its database for away.
        """
        with trio.fail_after(PATIENCE):
            while True:
                answer = await self.call(method, path, token, body, content_type)
                if answer.status != 503:
                    return answer
                await trio.sleep(AGAIN)

    async def _exchange(self, head: h11.Request, body: bytes) -> Answer:
        assert self._tcp is not None
        sent = self._http.send(head)
        if body:
            sent += self._http.send(h11.Data(body))
        await self._tcp.send_all(sent + self._http.send(h11.EndOfMessage()))
        response = await http_event(self._tcp, self._http)
        answer = b""
        while isinstance(event := await http_event(self._tcp, self._http), h11.Data):
            answer += event.data
        if not isinstance(response, h11.Response) or not isinstance(event, h11.EndOfMessage):
            raise EOFError(f"half an answer: {response} {event}")
        headers = {name.decode(): value.decode() for name, value in response.headers}
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        return Answer(response.status_code, headers, answer)


def request(
    method: str, path: str, token: str | None, body: bytes, content_type: str
) -> h11.Request:
    headers = [("Host", HOST)]
    if token:
        headers.append(("Authorization", f"Bearer {token}"))
    if body:
        headers += [("Content-Type", content_type), ("Content-Length", str(len(body)))]
    return h11.Request(method=method, target=path, headers=headers)


async def http_event(tcp: trio.SocketStream, http: h11.Connection) -> Any:
    while (event := http.next_event()) is h11.NEED_DATA:
        http.receive_data(await tcp.receive_some())
    return event


class Dripping:
    """A socket whose owner reads a little now and then."""

    def __init__(self, tcp: trio.SocketStream, piece: int, pause: float) -> None:
        self._tcp = tcp
        self._piece = piece
        self._pause = pause
        self.send_all = tcp.send_all
        self.aclose = tcp.aclose

    async def receive_some(self) -> bytes:
        await trio.sleep(self._pause)
        return bytes(await self._tcp.receive_some(self._piece))


class Stream:
    """A live stream. `next` gives the messages of one read, never an empty list."""

    def __init__(self, tcp: Any) -> None:
        self.tcp = tcp

    async def next(self) -> list[dict[str, Any]]:
        """Raises Ended."""
        raise NotImplementedError


@asynccontextmanager
async def stream(
    port: int,
    door: str,
    token: str,
    query: str = "",
    *,
    window: int | None = None,
    drip: tuple[int, float] | None = None,
    insist: bool = False,
) -> AsyncIterator[Stream]:
    """An open stream over either door. Raises Lost, Refused.

    `window` is the receive buffer's size; with `drip` it reads so many bytes at a time, after
    so many seconds each. With `insist` a 503 is no answer.
    """
    tcp: Any = None
    try:
        with trio.fail_after(PATIENCE):
            while True:
                tcp = await connected(port, window)
                if drip is not None:
                    tcp = Dripping(tcp, *drip)
                opened = WebSocketStream(tcp) if door == "websocket" else SseStream(tcp)
                try:
                    await opened.open(token, query)
                    break
                except Refused as refused:
                    if not insist or refused.answer.status != 503:
                        raise
                await tcp.aclose()
                await trio.sleep(AGAIN)
        yield opened
    finally:
        if tcp is not None:
            await tcp.aclose()


class WebSocketStream(Stream):
    def __init__(self, tcp: Any) -> None:
        super().__init__(tcp)
        self._ws = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self._text: list[str] = []
        self._ended: Ended | None = None
        self._greeted = False

    async def open(self, token: str, query: str) -> None:
        headers = [(b"Authorization", f"Bearer {token}".encode())]
        try:
            await self.tcp.send_all(
                self._ws.send(Request(host=HOST, target=f"/api/rt{query}", extra_headers=headers))
            )
            while True:
                self._ws.receive_data((await self.tcp.receive_some()) or None)
                for event in self._ws.events():
                    if isinstance(event, AcceptConnection):
                        return
                    if isinstance(event, RejectConnection):
                        found = {name.decode().lower(): v.decode() for name, v in event.headers}
                        raise Refused(Answer(event.status_code, found, b""))
                    if isinstance(event, CloseConnection):
                        raise Lost("it ended within the handshake")
        except (OSError, trio.BrokenResourceError, wsproto.utilities.ProtocolError) as error:
            raise Lost(repr(error)) from error

    async def next(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        while not messages:
            if self._ended is not None:
                raise self._ended
            try:
                data = await self.tcp.receive_some() if self._greeted else b"-"
            except (OSError, trio.BrokenResourceError):
                data = b""
            if not data:
                raise Ended(None)
            if self._greeted:
                self._ws.receive_data(data)
            self._greeted = True  # what came with the handshake's answer is parsed already
            for event in self._ws.events():
                if isinstance(event, TextMessage):
                    self._text.append(event.data)
                    if event.message_finished:
                        messages.append(json.loads("".join(self._text)))
                        self._text.clear()
                elif isinstance(event, Ping):
                    await self._send(self._ws.send(event.response()))
                elif isinstance(event, CloseConnection):
                    self._ended = Ended(int(event.code))
                    if self._ws.state is ConnectionState.REMOTE_CLOSING:
                        await self._send(self._ws.send(event.response()))
        return messages

    async def _send(self, data: bytes) -> None:
        with suppress(OSError, trio.BrokenResourceError):  # the next read says so
            await self.tcp.send_all(data)


class SseStream(Stream):
    def __init__(self, tcp: Any) -> None:
        super().__init__(tcp)
        self._http = h11.Connection(h11.CLIENT)
        self._text = b""
        self.code: int | None = None

    async def open(self, token: str, query: str) -> None:
        head = request("GET", f"/api/sse{query}", token, b"", "")
        try:
            await self.tcp.send_all(self._http.send(head) + self._http.send(h11.EndOfMessage()))
            response = await http_event(self.tcp, self._http)
        except (OSError, trio.BrokenResourceError, h11.RemoteProtocolError) as error:
            raise Lost(repr(error)) from error
        if not isinstance(response, h11.Response):
            raise Lost("it ended within the request")
        if response.status_code != 200:
            headers = {name.decode(): value.decode() for name, value in response.headers}
            raise Refused(Answer(response.status_code, headers, b""))

    async def next(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        while not messages:
            try:
                event = await http_event(self.tcp, self._http)
            except (OSError, trio.BrokenResourceError, h11.RemoteProtocolError):
                raise Ended(self.code) from None
            if not isinstance(event, h11.Data):
                raise Ended(self.code)
            *blocks, self._text = (self._text + event.data).split(b"\n\n")
            messages = [message for block in blocks if (message := self._read(block)) is not None]
        return messages

    def _read(self, block: bytes) -> dict[str, Any] | None:
        fields = dict(
            line.split(b": ", 1) for line in block.split(b"\n") if not line.startswith(b":")
        )
        if b"data" not in fields:
            return None
        message: dict[str, Any] = json.loads(fields[b"data"])
        # the position EventSource would come back with is the message's own
        assert fields.get(b"id", b"").decode() == message.get("cursor", ""), block
        if message.get("type") == "close":
            self.code = message["code"]
        return message
