"""Calls and streams on blocking sockets: a test decides when each byte is taken from the kernel.

Nothing is read, answered or tried again by itself.
"""

import socket
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import h11
import httpx
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    RejectConnection,
    RejectData,
)

from tests.support.client.protocol import (
    HOST,
    JSON,
    LOST,
    Answer,
    EventStreamParser,
    HttpParser,
    WebSocketParser,
    answer_of,
    request_headers,
)
from tests.support.patience import PATIENCE

WINDOW_BYTES = 4096  # about what the kernel of a narrow reader takes in for it
SEGMENT_BYTES = 1000  # Relay's kernel sizes its own buffer by the reader's segments


def connect(port: int, *, narrow: bool = False) -> socket.socket:
    sock = socket.socket()
    if narrow:  # before connecting, where both are negotiated
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW_BYTES)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
    sock.settimeout(PATIENCE)
    sock.connect((HOST, port))
    return sock


class Call:
    """A request on a connection of its own: sent now, its answer read when asked for."""

    def __init__(
        self,
        port: int,
        method: str,
        path: str,
        token: str | None = None,
        body: bytes = b"",
        kind: str = JSON,
    ) -> None:
        self._http = HttpParser()
        headers = [*request_headers(token, body, kind), ("Connection", "close")]
        self.asked_at = time.time()
        self.answered_at = float("inf")
        self._sock = connect(port)
        self._sock.sendall(self._http.request(method, path, headers, body))

    def answer(self) -> Answer:
        with self._sock:
            while (response := self._http.response()) is None:
                self._http.receive(self._sock.recv(65_536))
        self.answered_at = time.time()
        return answer_of(*response)


@dataclass(frozen=True)
class End:
    """How a stream ended: in order (with a code, on a WebSocket), or with the bare connection."""

    code: int | None = None
    cut: bool = False


class Stream:
    """A stream. `answer` is set once the handshake has one, `end` once the stream is over."""

    def __init__(self, port: int, *, narrow: bool) -> None:
        self.sock = connect(port, narrow=narrow)
        self.answer: Answer | None = None
        self.end: End | None = None

    def receive(self, within: float, most: int = 65_536) -> bool:
        """Read once. False when nothing came in time, or when nothing can come any more."""
        if self.end is not None:
            return False
        self.sock.settimeout(max(within, 0.0001))
        try:
            data = self.sock.recv(most)
        except (TimeoutError, BlockingIOError):
            return False
        except ConnectionError:
            self._close(End(cut=True))
            return True
        self._take(data)
        return True

    def leave(self, *, politely: bool) -> None:
        """Close; politely is a close handshake where the transport has one."""
        self._close(End())

    def _take(self, data: bytes) -> None:
        raise NotImplementedError

    def _close(self, end: End) -> None:
        if self.end is None:
            self.end = end
            self.sock.close()


class WebSocketStream(Stream):
    """`texts` has the messages that came."""

    def __init__(
        self,
        port: int,
        query: str,
        headers: Mapping[str, str],
        *subprotocols: str,
        narrow: bool,
    ) -> None:
        super().__init__(port, narrow=narrow)
        self._ws = WebSocketParser()
        self._refusal: RejectConnection | None = None
        self._body = b""
        self.subprotocol: str | None = None
        self.texts: deque[str] = deque()
        self._send(self._ws.handshake(f"/api/rt{query}", headers.items(), subprotocols))

    def leave(self, *, politely: bool) -> None:
        if politely and self.end is None:
            self._send(self._ws.send(CloseConnection(code=1000)))
        else:
            super().leave(politely=politely)

    def _send(self, data: bytes) -> None:
        with suppress(OSError):  # the next read finds out
            self.sock.settimeout(PATIENCE)
            self.sock.sendall(data)

    def _take(self, data: bytes) -> None:
        for event in self._ws.receive(data):
            assert not isinstance(event, BytesMessage), "a binary message"
            if (text := self._ws.text(event)) is not None:
                self.texts.append(text)
            if reply := self._ws.reply(event):
                self._send(reply)
            if isinstance(event, AcceptConnection):
                self.answer = Answer(101, {})
                self.subprotocol = event.subprotocol
            elif isinstance(event, RejectConnection):
                self._refusal = event
            elif isinstance(event, RejectData):
                self._body += event.data
                if event.body_finished:
                    self._take_refusal()
            elif isinstance(event, CloseConnection):
                code = int(event.code)
                self._close(End(cut=True) if code == LOST else End(code=code))

    def _take_refusal(self) -> None:
        assert self._refusal is not None
        headers = httpx.Headers(list(self._refusal.headers))
        self.answer = Answer(self._refusal.status_code, headers, self._body)
        self._close(End())


class SseStream(Stream):
    """`blocks` has the blocks that came, each a list of its lines."""

    def __init__(self, port: int, query: str, headers: Mapping[str, str], *, narrow: bool) -> None:
        super().__init__(port, narrow=narrow)
        self._http = HttpParser()
        self._parser = EventStreamParser()
        self._refusal: h11.Response | None = None
        self._body = b""
        self.blocks: deque[list[str]] = deque()
        pairs = [("Host", HOST), *headers.items()]
        self.sock.sendall(self._http.request("GET", f"/api/sse{query}", pairs))

    def _take(self, data: bytes) -> None:
        try:
            self._http.receive(data)
            while (event := self._http.event()) is not h11.NEED_DATA:
                if isinstance(event, h11.Response):
                    self._take_response(event)
                elif not isinstance(event, h11.Data):
                    self._take_end()
                    break
                elif self._refusal is None:
                    self.blocks.extend(self._parser.receive(event.data))
                else:
                    self._body += event.data
        except h11.RemoteProtocolError:
            assert not data, "bytes that are no HTTP"
            self._close(End(cut=True))

    def _take_response(self, response: h11.Response) -> None:
        if response.status_code == 200:
            self.answer = answer_of(response)
        else:
            self._refusal = response

    def _take_end(self) -> None:
        if self._refusal is not None:
            self.answer = answer_of(self._refusal, self._body)
        self._close(End())
