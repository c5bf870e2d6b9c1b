"""Clients without manners: they send any bytes they like, and answer only what they want to."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import h11
import httpx
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    Message,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)

from tests.support.openapi import documented
from tests.support.patience import PATIENCE
from tests.support.relay_server import Relay

HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
"""What makes a GET ask for a WebSocket."""


class RawHttp:
    """A bare connection: bytes out, parsed answers in."""

    def __init__(self, tcp: trio.SocketStream) -> None:
        self.tcp = tcp
        self._http = h11.Connection(h11.CLIENT)

    async def send(self, data: bytes) -> None:
        await self.tcp.send_all(data)

    async def answer(self, method: str = "POST", **headers: str) -> httpx.Response:
        """The next answer; `method` and `headers` are what it answers to, as far as h11 cares."""
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        asked = [("Host", "relay"), *headers.items()]
        self._http.send(h11.Request(method=method, target="/", headers=asked))
        self._http.send(h11.EndOfMessage())
        head: Any = None
        body = bytearray()
        with trio.fail_after(PATIENCE):
            while (event := self._http.next_event()) is not h11.PAUSED:
                if event is h11.NEED_DATA:
                    self._http.receive_data(await self.tcp.receive_some())
                elif isinstance(event, h11.EndOfMessage):
                    break
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.Response | h11.InformationalResponse):
                    head = event
        return httpx.Response(head.status_code, headers=list(head.headers), content=bytes(body))


@asynccontextmanager
async def raw_http(relay: Relay) -> AsyncIterator[RawHttp]:
    async with await _connect(relay) as tcp:
        yield RawHttp(tcp)


def head(target: str, *headers: str, method: str = "POST") -> bytes:
    """The head of a request, as bytes."""
    lines = [f"{method} {target} HTTP/1.1", "Host: relay", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


async def handshake(relay: Relay, query: str = "", **headers: str) -> httpx.Response:
    """How a WebSocket handshake is answered; one that succeeds is let go of at once."""
    asked = {**HANDSHAKE, **headers}
    lines = [f"{name}: {value}" for name, value in asked.items()]
    async with raw_http(relay) as connection:
        await connection.send(head(f"/api/rt{query}", *lines, method="GET"))
        answer = await connection.answer("GET", **asked)
    answer.request = httpx.Request("GET", f"{relay.url}/api/rt{query}")
    await documented(answer)
    return answer


class RawWebSocket:
    """A WebSocket that does nothing by itself: no pong, no answer to a close."""

    def __init__(self, tcp: trio.SocketStream) -> None:
        self.tcp = tcp
        self._ws = WSConnection(ConnectionType.CLIENT)
        self._events: list[Event] = []
        self._text = ""

    async def open(self, headers: dict[str, str], query: str, *subprotocols: str) -> None:
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self.put(
            Request(
                host="relay",
                target=f"/api/rt{query}",
                extra_headers=pairs,
                subprotocols=list(subprotocols),
            )
        )
        event = await self.frame()
        assert not isinstance(event, RejectConnection), event
        assert isinstance(event, AcceptConnection)

    async def put(self, event: Event) -> None:
        await self.tcp.send_all(self._ws.send(event))

    async def say(self, text: str) -> None:
        await self.put(Message(data=text))

    async def pong(self, ping: Ping) -> None:
        await self.put(ping.response())

    async def frame(self) -> Event:
        """The next thing the server does: a frame, or the end (CloseConnection, 1006)."""
        with trio.fail_after(PATIENCE):
            while not self._events:
                try:
                    data = await self.tcp.receive_some()
                except trio.BrokenResourceError:
                    data = b""
                if not data:
                    return CloseConnection(code=1006)
                self._ws.receive_data(data)
                self._events += self._ws.events()
        return self._events.pop(0)

    async def message(self, *, answering: bool = False) -> Any:
        """The next message as JSON; pings pass, answered or not. At the end the close code."""
        while True:
            event = await self.frame()
            if isinstance(event, CloseConnection):
                return int(event.code)
            if isinstance(event, Ping) and answering:
                await self.pong(event)
            if isinstance(event, TextMessage):
                self._text += event.data
                if event.message_finished:
                    text, self._text = self._text, ""
                    return json.loads(text)

    async def hello(self) -> Any:
        message = await self.message()
        assert message["type"] == "hello", message
        return message

    async def ping(self) -> Ping:
        """The next ping; messages on the way to it are passed over."""
        while not isinstance(event := await self.frame(), Ping):
            assert not isinstance(event, CloseConnection | Pong), event
        return event


@asynccontextmanager
async def raw_websocket(
    relay: Relay, headers: dict[str, str], query: str = "", *subprotocols: str
) -> AsyncIterator[RawWebSocket]:
    async with await _connect(relay) as tcp:
        socket = RawWebSocket(tcp)
        await socket.open(headers, query, *subprotocols)
        yield socket


async def _connect(relay: Relay) -> trio.SocketStream:
    host, _, port = relay.url.removeprefix("http://").rpartition(":")
    return await trio.open_tcp_stream(host, int(port))
