"""HTTP/1.1, WebSocket and server-sent events as a client speaks them, without a socket.

Bytes to send are returned, received bytes are passed in. h11 and wsproto do the work.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import h11
import httpx
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import CloseConnection, Event, Ping, Request, TextMessage
from wsproto.extensions import Extension

HOST = "127.0.0.1"
JSON, NDJSON = "application/json", "application/x-ndjson"
LOST = 1006  # the close code of a connection that ended without a close frame (RFC 6455, 7.4.1)

HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
"""The headers that make a GET ask for a WebSocket."""

Headers = Iterable[tuple[str, str]]


# -- bytes, for tests that write requests and frames themselves


def head(target: str, *lines: str, method: str = "POST") -> bytes:
    """The head of a request."""
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: relay", *lines, "", ""]).encode()


def masked(first: int, payload: bytes) -> bytes:
    """A client's frame of any size. The mask is zero, so the payload stays readable."""
    size = len(payload)
    if size < 126:
        length = bytes((0x80 | size,))
    elif size < 2**16:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return bytes((first,)) + length + bytes(4) + payload


# -- HTTP


@dataclass(frozen=True)
class Answer:
    """A response; `headers` ignores case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        """The error code of a problem document."""
        return self.json.get("code") if self.body else None

    def __str__(self) -> str:
        return f"{self.status} {self.body[:300].decode(errors='replace')}"


Response = h11.Response | h11.InformationalResponse


def answer_of(response: Response, body: bytes = b"") -> Answer:
    return Answer(response.status_code, httpx.Headers(list(response.headers)), body)


def request_headers(
    token: str | None = None, body: bytes = b"", content_type: str = JSON
) -> list[tuple[str, str]]:
    """The headers of a request with a credential and a body, where it has them."""
    headers = [("Host", HOST)]
    if token is not None:
        headers.append(("Authorization", f"Bearer {token}"))
    if body:
        headers += [("Content-Type", content_type), ("Content-Length", str(len(body)))]
    return headers


class HttpParser:
    """The client's side of one HTTP/1.1 connection."""

    def __init__(self) -> None:
        self._http = h11.Connection(h11.CLIENT)
        self._response: Response | None = None
        self._body = bytearray()

    @property
    def is_idle(self) -> bool:
        """Whether the connection can take another request."""
        return self._http.our_state is h11.IDLE

    def request(self, method: str, target: str, headers: Headers, body: bytes = b"") -> bytes:
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        asked = h11.Request(method=method, target=target, headers=list(headers))
        sent = self._http.send(asked) or b""
        if body:
            sent += self._http.send(h11.Data(body)) or b""
        return sent + (self._http.send(h11.EndOfMessage()) or b"")

    def receive(self, data: bytes) -> None:
        """Pass received bytes in; none is the end of the connection."""
        self._http.receive_data(data)

    def event(self) -> Any:
        """h11's next event, or `h11.NEED_DATA`. Raises h11.RemoteProtocolError."""
        return self._http.next_event()

    def response(self) -> tuple[Response, bytes] | None:
        """The response once it is complete, else None. Raises h11.RemoteProtocolError, EOFError.

        A switch of protocols completes it.
        """
        while (event := self.event()) is not h11.NEED_DATA:
            if isinstance(event, Response):
                self._response = event
            elif isinstance(event, h11.Data):
                self._body += event.data
            elif self._response is None:
                raise EOFError("the connection ended without a response")
            else:
                complete = self._response, bytes(self._body)
                self._response, self._body = None, bytearray()
                return complete
        return None

    def end_cycle(self) -> None:
        """Make the connection idle, if both sides have finished and keep it."""
        if self._http.our_state is self._http.their_state is h11.DONE:
            self._http.start_next_cycle()


# -- WebSocket


class WebSocketParser:
    """The client's side of one WebSocket. It sends nothing by itself."""

    def __init__(self) -> None:
        self._ws = WSConnection(ConnectionType.CLIENT)
        self._parts: list[str] = []

    def handshake(
        self,
        target: str,
        headers: Headers = (),
        subprotocols: Iterable[str] = (),
        extensions: Iterable[Extension] = (),
        host: str = "relay",
    ) -> bytes:
        pairs = [(name.encode(), value.encode()) for name, value in headers]
        return self._ws.send(
            Request(
                host=host,
                target=target,
                extra_headers=pairs,
                subprotocols=list(subprotocols),
                extensions=list(extensions),
            )
        )

    def send(self, event: Event) -> bytes:
        return self._ws.send(event)

    def receive(self, data: bytes) -> list[Event]:
        """The events in received bytes; the end of the connection is a close with LOST."""
        if not data:
            return [CloseConnection(code=LOST)]
        self._ws.receive_data(data)
        return list(self._ws.events())

    def reply(self, event: Event) -> bytes:
        """What RFC 6455 answers to an event: a pong, a close frame, or nothing."""
        state = self._ws.state
        if isinstance(event, Ping) and state is ConnectionState.OPEN:
            return self.send(event.response())
        if isinstance(event, CloseConnection) and state is ConnectionState.REMOTE_CLOSING:
            return self.send(event.response())
        return b""

    def text(self, event: Event) -> str | None:
        """The text message that an event completes, if it does."""
        if not isinstance(event, TextMessage):
            return None
        self._parts.append(event.data)
        if not event.message_finished:
            return None
        text = "".join(self._parts)
        self._parts.clear()
        return text


# -- server-sent events


class EventStreamParser:
    """An event stream, cut into blocks."""

    def __init__(self) -> None:
        self._rest = b""

    def receive(self, data: bytes) -> list[list[str]]:
        """The blocks that are complete now; each is a list of its lines, comments included."""
        *blocks, self._rest = (self._rest + data).split(b"\n\n")
        return [block.decode().split("\n") for block in blocks]


def fields_of(block: Iterable[str]) -> dict[str, str]:
    """A block's fields by name, without comments. Raises ValueError where one is doubled."""
    pairs = [line.split(": ", 1) for line in block if not line.startswith(":")]
    fields = {pair[0]: pair[1] for pair in pairs}
    if len(fields) != len(pairs):
        raise ValueError(f"a doubled field: {pairs}")
    return fields
