"""Read a request's body when a handler asks for it.

The server sends `100 Continue` when the handler first waits for the body. A client that sent
`Expect: 100-continue` (RFC 9110, 10.1.1) is therefore authenticated before it sends the body.
"""

from contextlib import suppress
from enum import Enum, auto
from typing import Any, cast

from hypercorn.typing import ASGIReceiveCallable

from relay.errors import PayloadTooLarge, RequestTimeout
from relay.ingest.envelope import MAX_BATCH_BODY, MAX_BODY
from relay.media_types import NDJSON
from relay.server.transport import Transport
from relay.web.body_budget import Intake
from relay.web.headers import RequestHeaders

_TOO_LARGE = f"The body is too large: {MAX_BODY} bytes are allowed, {MAX_BATCH_BODY} for NDJSON."


class ClientGone(Exception):
    """The client disconnected before its request was complete. No answer is sent."""


class _Extent(Enum):
    """How much of a body was read."""

    NOTHING = auto()
    WHOLE = auto()
    PART = auto()  # too large or too slow; the rest is not read
    ABANDONED = auto()  # the client disconnected


class RequestBody:
    """The body of one request. `timeout` is in seconds, for the whole body.

    `transport` is None under another server than Relay's.
    """

    __slots__ = ("_extent", "_headers", "_intake", "_receive", "_timeout", "_transport")

    def __init__(
        self,
        headers: RequestHeaders,
        transport: Transport | None,
        receive: ASGIReceiveCallable,
        intake: Intake,
        timeout: float,
    ) -> None:
        self._headers = headers
        self._transport = transport
        self._receive = receive
        self._intake = intake
        self._timeout = timeout
        self._extent = _Extent.NOTHING

    async def read(self) -> bytes:
        """Read the whole body, once. Raises PayloadTooLarge, RequestTimeout, ClientGone."""
        if self._came_with_head:
            message: Any = await self._receive()
            self._extent = _Extent.WHOLE
            return cast("bytes", message["body"])
        self._extent = _Extent.PART
        most = _max_bytes(self._headers.get("Content-Type", ""))
        announced = self._headers.raw(b"content-length")
        if announced.isdigit() and int(announced) > most:
            raise PayloadTooLarge(_TOO_LARGE)
        with self._intake.body(self._timeout) as body:
            while True:
                message = await self._receive()
                if message["type"] == "http.disconnect":
                    self._extent = _Extent.ABANDONED
                    raise ClientGone()
                self._intake.add(body, message["body"])
                if not message.get("more_body", False):
                    self._extent = _Extent.WHOLE
                if len(body.data) > most:
                    raise PayloadTooLarge(_TOO_LARGE)
                if self._extent is _Extent.WHOLE:
                    return bytes(body.data)
        raise RequestTimeout()

    async def pass_over(self, *, waiting: bool) -> None:
        """Read and drop a body that the handler did not read. Raises ClientGone.

        Without `waiting`, only a body that came with the head is read. A client that waits for
        `100 Continue` does not get it. A body that is too large or too slow is left unread.
        """
        expects = self._transport is not None and self._transport.waits_for_continue
        if self._extent is _Extent.NOTHING and (self._came_with_head or (waiting and not expects)):
            with suppress(PayloadTooLarge, RequestTimeout):
                await self.read()
        if self._extent is _Extent.ABANDONED:
            raise ClientGone()

    @property
    def _came_with_head(self) -> bool:
        """Whether the whole body came with the request's head, and is small therefore."""
        return self._transport is not None and self._transport.body_is_here


def _max_bytes(content_type: str) -> int:
    """The most bytes that a body of this Content-Type may have."""
    batch = content_type.partition(";")[0].strip().lower() == NDJSON
    return MAX_BATCH_BODY if batch else MAX_BODY
