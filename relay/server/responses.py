"""Write a response: ASGI's events in, HTTP/1.1 bytes out."""

from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus

from .common_headers import header_line
from .context import ServerContext
from .handle import Framing, WireHandle
from .heads import Head
from .held import HeldCall
from .refusals import Refusal
from .wire import Wire

Headers = Iterable[tuple[bytes, bytes]]

MAX_COPIED = 65_536
"""Bytes of a body that are copied to be written together with the head. A copy of more would cost
more than a second write, and stay until the client has taken it."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class UnexpectedMessage(Exception):
    """The application sent an event that is not allowed in the current state."""


class ResponseWriter:
    """Writes one response.

    With a Content-Length, the head is written together with the first bytes of the body. Until
    then `mark_last` can add `Connection: close`, as a stopping server does. `written`: the head was
    written; until then `refuse` can replace the response. `done`: all of it was written.
    """

    __slots__ = (
        "_bytes_left",
        "_framing",
        "_handle",
        "_has_no_body",
        "_has_started",
        "_lines",
        "_method",
        "_server",
        "_wire",
        "done",
        "last",
        "written",
    )

    def __init__(
        self,
        server: ServerContext,
        request: Head,
        wire: Wire,
        handle: WireHandle,
        *,
        last: bool,
    ) -> None:
        self._server = server
        self._method = request.method.upper()  # as in the application's scope
        self._framing: Framing = "chunked" if request.version == b"1.1" else "close"
        self._wire = wire
        self._handle = handle
        self._lines: list[bytes] = []  # of the head, until it is written
        self._bytes_left: int | None = None  # bytes of the Content-Length still to be written
        self._has_no_body = False
        self._has_started = False
        self.written = False
        self.done = False
        self.last = last

    def mark_last(self) -> None:
        """Close the connection after this response."""
        self.last = True

    async def start(self, status: int, headers: Headers) -> None:
        """Start it; a head without Content-Length is written.

        Raises UnexpectedMessage, ValueError.
        """
        if self._has_started:
            raise UnexpectedMessage("a response starts once")
        lines = [_status_line(status)]
        content_length = None
        for name, value in headers:
            lowered = name.lower()
            if lowered == b"content-length":
                content_length = int(value)
                if status == 204:
                    continue
            elif lowered == b"connection":
                self.last = self.last or b"close" in value.lower()
                continue
            elif lowered == b"transfer-encoding":
                continue  # the server decides about the framing
            lines.append(header_line(name, value))
        self._has_no_body = self._method == b"HEAD" or status in (204, 304)
        self._has_started, self._lines, self._bytes_left = True, lines, content_length
        if content_length is None and not self._has_no_body:
            if self._framing == "chunked":
                lines.append(b"transfer-encoding: chunked\r\n")
            await self._wire.send(self._head())
            self._handle.open()

    async def body(self, data: bytes, *, more: bool) -> None:
        """Write a part of the body. Raises UnexpectedMessage."""
        data = self._framed(data, more=more)
        write = self._wire.send if more else self._wire.finish
        if not more:
            self._check_whole()
        if self._lines:
            head = self._head()
            if len(data) > MAX_COPIED:
                await write(head)
            else:
                data = head + data
        await write(data)
        self.done = not more

    def hold(self, call: HeldCall, request: Head, data: bytes) -> "HeldResponse":
        """Take the whole body, and write nothing. Raises UnexpectedMessage. `written` is False."""
        data = self._framed(data, more=False)
        self._check_whole()
        self.done = True
        lines = b"".join(self._lines)
        return HeldResponse(call, request.without_body(), lines, data, last=self.last)

    def _framed(self, data: bytes, *, more: bool) -> bytes:
        """A part of the body as it is written. Checks it against the Content-Length."""
        if not self._has_started or self.done:
            raise UnexpectedMessage("a body follows the start of its response")
        if self._has_no_body:
            data = b""
        elif self._bytes_left is not None:
            self._bytes_left -= len(data)
            if self._bytes_left < 0:
                raise UnexpectedMessage("the body is longer than its Content-Length")
        elif self._framing == "chunked":
            data = _chunks(data, more=more)
        return data

    def _check_whole(self) -> None:
        self._handle.shut()
        if self._bytes_left and not self._has_no_body:
            raise UnexpectedMessage("the body is shorter than its Content-Length")

    async def refuse(self, refusal: Refusal) -> None:
        """Write a refusal in place of the response, as the last one on its connection."""
        self._handle.shut()
        self._has_started = self.last = True
        self._lines = [_status_line(refusal.problem.status)]
        for name, value in refusal.headers:
            if name != b"connection":
                self._lines.append(header_line(name, value))
        body = b"" if self._method == b"HEAD" else refusal.body
        await self._wire.finish(self._head() + body)
        self.done = True

    def _head(self) -> bytes:
        """Build the head, to be written now."""
        lines, self._lines = self._lines, []
        self.written = True
        self.last = self.last or self._server.stopping.is_set()
        lines.append(_last_lines(self._server, last=self.last))
        return b"".join(lines)


class HeldResponse:
    """A whole response that waits, and the head of its request. `last`: on its connection."""

    __slots__ = ("_body", "_lines", "call", "last", "request")

    def __init__(
        self, call: HeldCall, request: bytes, lines: bytes, body: bytes, *, last: bool
    ) -> None:
        self.call = call
        self.request = request
        self.last = last
        self._lines = lines
        self._body = body

    async def send(self, server: ServerContext, wire: Wire) -> bool:
        """Write it; returns whether the connection can serve another request."""
        last = self.last or server.stopping.is_set()
        await wire.finish(self._lines + _last_lines(server, last=last) + self._body)
        return not last


def _last_lines(server: ServerContext, *, last: bool) -> bytes:
    """The end of a head: what follows from the time at which it is written."""
    close = b"connection: close\r\n" if last else b""
    return b"%b%b\r\n" % (close, server.common_headers.lines())


def _chunks(data: bytes, *, more: bool) -> bytes:
    """Encode the data as a chunk, with the end of the body unless there is more."""
    end = b"" if more else b"0\r\n\r\n"
    return b"%x\r\n%b\r\n%b" % (len(data), data, end) if data else end


@lru_cache
def _status_line(status: int) -> bytes:
    if not 200 <= status <= 599:
        raise ValueError(f"{status} is no final status")
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return b"HTTP/1.1 %d %s\r\n" % (status, phrase.encode())
