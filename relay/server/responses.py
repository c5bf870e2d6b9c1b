"""Write a response: ASGI's events in, HTTP/1.1 bytes out."""

from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus

from .context import ServerContext
from .heads import Head
from .refusals import Refusal
from .stamp import header_line
from .transport import Framing, WireTransport
from .wire import Wire

Headers = Iterable[tuple[bytes, bytes]]

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class OutOfTurn(Exception):
    """The application sent an event that is not allowed in the current state."""


class ResponseWriter:
    """Writes one response.

    With a Content-Length, the head is written together with the first bytes of the body. Until
    then `be_last` can add `Connection: close`, as a stopping server does. `written`: the head was
    written; until then `refuse` can replace the response. `done`: all of it was written.
    """

    __slots__ = (
        "_begun",
        "_bodiless",
        "_framing",
        "_left",
        "_lines",
        "_method",
        "_server",
        "_transport",
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
        transport: WireTransport,
        *,
        last: bool,
    ) -> None:
        self._server = server
        self._method = request.method.upper()  # as in the application's scope
        self._framing: Framing = "chunked" if request.version == b"1.1" else "close"
        self._wire = wire
        self._transport = transport
        self._lines: list[bytes] = []  # of the head, until it is written
        self._left: int | None = None  # bytes of the Content-Length still to be written
        self._bodiless = False
        self._begun = False
        self.written = False
        self.done = False
        self.last = last

    def be_last(self) -> None:
        """Close the connection after this response."""
        self.last = True

    async def start(self, status: int, headers: Headers) -> None:
        """Start it; a head without Content-Length is written. Raises OutOfTurn, ValueError."""
        if self._begun:
            raise OutOfTurn("a response starts once")
        lines = [_status_line(status)]
        left = None
        for name, value in headers:
            lowered = name.lower()
            if lowered == b"content-length":
                left = int(value)
                if status == 204:
                    continue
            elif lowered == b"connection":
                self.last = self.last or b"close" in value.lower()
                continue
            elif lowered == b"transfer-encoding":
                continue  # the server decides about the framing
            lines.append(header_line(name, value))
        self._bodiless = self._method == b"HEAD" or status in (204, 304)
        self._begun, self._lines, self._left = True, lines, left
        if left is None and not self._bodiless:
            if self._framing == "chunked":
                lines.append(b"transfer-encoding: chunked\r\n")
            await self._wire.send(self._head())
            self._transport.open()

    async def body(self, data: bytes, *, more: bool) -> None:
        """Write a part of the body. Raises OutOfTurn, also if it contradicts the Content-Length."""
        if not self._begun or self.done:
            raise OutOfTurn("a body follows the start of its response")
        if self._bodiless:
            data = b""
        elif self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise OutOfTurn("the body is longer than its Content-Length")
        elif self._framing == "chunked":
            data = _chunks(data, more=more)
        if self._lines:
            data = self._head() + data
        if more:
            await self._wire.send(data)
            return
        self._transport.shut()
        if self._left and not self._bodiless:
            raise OutOfTurn("the body is shorter than its Content-Length")
        await self._wire.finish(data)
        self.done = True

    async def refuse(self, refusal: Refusal) -> None:
        """Write a refusal in place of the response, as the last one on its connection."""
        self._transport.shut()
        self._begun = self.last = True
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
        if self.last or self._server.stopping.is_set():
            self.last = True
            lines.append(b"connection: close\r\n")
        lines.append(self._server.stamp.lines())
        lines.append(b"\r\n")
        return b"".join(lines)


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
