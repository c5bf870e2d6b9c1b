"""Answer a WebSocket handshake: 101, or an ordinary response (RFC 6455, 4.2.2)."""

from collections.abc import Sequence

from wsproto.utilities import generate_accept_token

from relay.errors import Problem

from .common_headers import header_line
from .context import ServerContext
from .handle import WireHandle
from .heads import Head
from .responses import Headers, ResponseWriter
from .wire import Wire


class Handshake:
    """A handshake that has passed `screen`."""

    __slots__ = ("_headers", "_response", "_server", "_subprotocols", "_token", "_wire")

    def __init__(
        self,
        server: ServerContext,
        head: Head,
        subprotocols: Sequence[str],
        wire: Wire,
        handle: WireHandle,
    ) -> None:
        self._server = server
        self._headers = head.headers
        self._token = generate_accept_token(head.all_of(b"sec-websocket-key"))
        self._subprotocols = subprotocols
        self._wire = wire
        self._response = ResponseWriter(server, head, wire, handle, last=True)

    @property
    def answered(self) -> bool:
        """Whether the head of a rejection was written."""
        return self._response.written

    def acceptance(self, subprotocol: str | None, headers: Headers) -> bytes:
        """The 101 response, without extensions.

        Raises ValueError for a subprotocol that was not offered, for malformed headers, and for
        headers that the server sets.
        """
        fields = [
            (b"upgrade", b"websocket"),
            (b"connection", b"Upgrade"),
            (b"sec-websocket-accept", self._token),
        ]
        if subprotocol is not None:
            if subprotocol not in self._subprotocols:
                raise ValueError("the client did not offer this subprotocol")
            fields.append((b"sec-websocket-protocol", subprotocol.encode()))
        for name, value in headers:
            if name.lower() in (b"sec-websocket-protocol", b"sec-websocket-extensions"):
                raise ValueError(f"the application must not set {name!r}")
            fields.append((name, value))
        lines = [header_line(name, value) for name, value in fields]
        common_headers = self._server.common_headers.lines()
        return b"".join([b"HTTP/1.1 101 Switching Protocols\r\n", *lines, common_headers, b"\r\n"])

    async def reject(self, problem: Problem) -> None:
        """Answer in place of the application."""
        await self._response.refuse(self._server.refusals.of(problem, self._headers))

    async def start_response(self, status: int, headers: Headers) -> None:
        """Start the application's rejection. Raises UnexpectedMessage, ValueError."""
        await self._response.start(status, headers)

    async def response_body(self, data: bytes, *, more: bool) -> None:
        """Write a part of its body. Raises UnexpectedMessage."""
        await self._response.body(data, more=more)
