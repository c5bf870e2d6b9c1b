"""Clients that do only what they are told: nothing is read, answered or tried again by itself.

Synchronous, over bare sockets, so that a test decides when each byte is taken from the kernel.
"""

import socket
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import h11
import msgspec
import wsproto
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)

from tests.support.patience import PATIENCE

HOST = "127.0.0.1"
MAX_ARRAY = 256 * 1024  # bytes of a message that holds several events
WINDOW = 4096  # bytes a narrow reader's kernel takes in for it, about
SEGMENT = 1000  # bytes: Relay's kernel measures its own buffer by the reader's segments

JSON, NDJSON = "application/json", "application/x-ndjson"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def code(self) -> str | None:
        """The word of a refusal."""
        return self.json.get("code") if self.body else None

    def __str__(self) -> str:
        return f"{self.status} {self.body[:300].decode(errors='replace')}"


@dataclass(frozen=True)
class Message:
    """One event or control; its values are JSON text as it came. On SSE also `id` and `event`."""

    fields: dict[str, msgspec.Raw]
    sse_id: str | None = None
    sse_name: str | None = None

    @property
    def is_event(self) -> bool:
        return "event_type" in self.fields

    def text(self, name: str) -> str:
        return bytes(self.fields[name]).decode()

    def __getitem__(self, name: str) -> Any:
        return msgspec.json.decode(self.fields[name]) if name in self.fields else None

    def __str__(self) -> str:
        return str({name: bytes(text)[:80].decode() for name, text in self.fields.items()})


@dataclass(frozen=True)
class End:
    """How a stream ended: in order (with a code, on a WebSocket), or with the bare connection."""

    code: int | None = None
    cut: bool = False


def connect(port: int, *, narrow: bool = False) -> socket.socket:
    sock = socket.socket()
    if narrow:  # before connecting: both are negotiated there
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
    sock.settimeout(PATIENCE)
    sock.connect((HOST, port))
    return sock


class Call:
    """A request on a connection of its own: sent now, answered when somebody asks."""

    def __init__(
        self,
        port: int,
        method: str,
        path: str,
        token: str | None = None,
        body: bytes = b"",
        kind: str = JSON,
    ) -> None:
        headers = [("Host", HOST), ("Connection", "close")]
        if token is not None:
            headers.append(("Authorization", f"Bearer {token}"))
        if body:
            headers += [("Content-Type", kind), ("Content-Length", str(len(body)))]
        self._http = h11.Connection(h11.CLIENT)
        head = h11.Request(method=method, target=path, headers=headers)
        self.asked_at = time.time()
        self.answered_at = float("inf")
        self._sock = connect(port)
        self._sock.sendall(self._http.send(head) + body)
        if body:
            self._http.send(h11.Data(body))
        self._http.send(h11.EndOfMessage())

    def answer(self) -> Answer:
        response, body = None, b""
        with self._sock:
            while not isinstance(event := self._http.next_event(), h11.EndOfMessage):
                if event is h11.NEED_DATA:
                    self._http.receive_data(self._sock.recv(65536))
                elif isinstance(event, h11.Response):
                    response = event
                elif isinstance(event, h11.Data):
                    body += event.data
        self.answered_at = time.time()
        assert response is not None
        return Answer(response.status_code, _plain(response.headers), body)


class Stream:
    """A stream on its way in. `answer` once the handshake has one, `end` once it is over."""

    def __init__(self, port: int, *, narrow: bool) -> None:
        self.sock = connect(port, narrow=narrow)
        self.answer: Answer | None = None
        self.messages: deque[Message] = deque()
        self.end: End | None = None

    def receive(self, within: float, most: int = 65536) -> bool:
        """Read once. False when nothing came in time, or when nothing can come any more."""
        if self.end is not None:
            return False
        self.sock.settimeout(max(within, 0.0001))
        try:
            data = self.sock.recv(most)
        except (TimeoutError, BlockingIOError):
            return False
        except ConnectionError:
            self._ends(End(cut=True))
            return True
        self._take(data)
        return True

    def bye(self, *, politely: bool) -> None:
        """Let go; politely is a close handshake where the door has one."""
        self._ends(End())

    def _take(self, data: bytes) -> None:
        raise NotImplementedError

    def _ends(self, end: End) -> None:
        if self.end is None:
            self.end = end
            self.sock.close()


class WebSocketStream(Stream):
    def __init__(
        self, port: int, target: str, headers: dict[str, str], *, narrow: bool, batched: bool
    ) -> None:
        super().__init__(port, narrow=narrow)
        self._ws = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self._batched = batched
        self._parts: list[str] = []
        self._refusal: RejectConnection | None = None
        self._body = b""
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        asked = Request(
            host=HOST,
            target=f"/api/rt{target}",
            extra_headers=pairs,
            subprotocols=["relay.v1"] if batched else [],
        )
        self._say(self._ws.send(asked))

    def _say(self, data: bytes) -> None:
        with suppress(OSError):  # whoever is gone, the next read tells
            self.sock.settimeout(PATIENCE)
            self.sock.sendall(data)

    def bye(self, *, politely: bool) -> None:
        if politely and self.end is None:
            self._say(self._ws.send(CloseConnection(code=1000)))
        else:
            super().bye(politely=politely)

    def _take(self, data: bytes) -> None:
        self._ws.receive_data(data or None)
        for event in self._ws.events():
            if isinstance(event, AcceptConnection):
                self.answer = Answer(101, {}, b"")
                assert event.subprotocol == ("relay.v1" if self._batched else None)
            elif isinstance(event, RejectConnection):
                self._refusal = event
            elif isinstance(event, RejectData):
                self._body += event.data
                if event.body_finished:
                    self._refused()
            elif isinstance(event, TextMessage):
                self._parts.append(event.data)
                if event.message_finished:
                    text = "".join(self._parts)
                    self._parts = []
                    self._read(text.encode())
            elif isinstance(event, Ping):
                if self._ws.state is ConnectionState.OPEN:
                    self._say(self._ws.send(event.response()))
            elif isinstance(event, CloseConnection):
                if self._ws.state is ConnectionState.REMOTE_CLOSING:
                    self._say(self._ws.send(event.response()))
                self._ends(End(code=int(event.code), cut=not data))
            else:
                assert not isinstance(event, BytesMessage), "a binary message"
        if not data:
            self._ends(End(cut=True))

    def _refused(self) -> None:
        assert self._refusal is not None
        headers = _plain(self._refusal.headers)
        self.answer = Answer(self._refusal.status_code, headers, self._body)
        self._ends(End())

    def _read(self, text: bytes) -> None:
        if text[:1] != b"[":
            self.messages.append(Message(_fields(text)))
            return
        assert self._batched, "an array for a client that offered no subprotocol"
        assert len(text) <= MAX_ARRAY, f"an array of {len(text)} bytes"
        several = [Message(one) for one in msgspec.json.decode(text, type=list[Fields])]
        assert all(message.is_event for message in several), "a control in an array"
        self.messages += several


class SseStream(Stream):
    def __init__(self, port: int, target: str, headers: dict[str, str], *, narrow: bool) -> None:
        super().__init__(port, narrow=narrow)
        self._http = h11.Connection(h11.CLIENT)
        pairs = [("Host", HOST), *headers.items()]
        asked = h11.Request(method="GET", target=f"/api/sse{target}", headers=pairs)
        self.sock.sendall(self._http.send(asked))
        self._http.send(h11.EndOfMessage())
        self._text = b""
        self._refusal: h11.Response | None = None

    def _take(self, data: bytes) -> None:
        try:
            self._http.receive_data(data)
            while (event := self._http.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.Response):
                    self._answered(event)
                elif isinstance(event, h11.Data):
                    self._text += event.data
                else:
                    if self._refusal is not None:
                        headers = _plain(self._refusal.headers)
                        self.answer = Answer(self._refusal.status_code, headers, self._text)
                    self._ends(End())
                    break
        except h11.RemoteProtocolError:
            assert not data, "bytes that are no HTTP"
            self._ends(End(cut=True))
        while self._refusal is None and b"\n\n" in self._text:
            block, _, self._text = self._text.partition(b"\n\n")
            self._read(block.split(b"\n"))

    def _answered(self, response: h11.Response) -> None:
        if response.status_code == 200:
            self.answer = Answer(200, _plain(response.headers), b"")
        else:
            self._refusal = response

    def _read(self, lines: list[bytes]) -> None:
        """One block; a comment is a heartbeat and has nothing else in it."""
        if lines[0].startswith(b":"):
            assert len(lines) == 1, lines
            return
        given = dict(line.split(b": ", 1) for line in lines)
        assert len(given) == len(lines), f"a field twice: {lines}"
        retry = given.pop(b"retry", None)
        fields = _fields(given.pop(b"data"))
        message = Message(fields, _word(given.pop(b"id", None)), _word(given.pop(b"event", None)))
        assert not given, f"no field of an event: {given}"
        assert retry == (b"2000" if message["type"] == "hello" else None), retry
        self.messages.append(message)


Fields = dict[str, msgspec.Raw]
_decode = msgspec.json.Decoder(Fields).decode


def _fields(text: bytes) -> Fields:
    return _decode(text)


def _word(text: bytes | None) -> str | None:
    return None if text is None else text.decode()


def _plain(headers: Any) -> dict[str, str]:
    return {name.decode().lower(): value.decode() for name, value in headers}
