"""Read a request's body when a handler asks for it.

The server sends `100 Continue` when the handler first waits for the body. A client that sent
`Expect: 100-continue` (RFC 9110, 10.1.1) is therefore authenticated before it sends the body.
"""

from contextlib import suppress
from enum import Enum, auto
from typing import Any, cast

from hypercorn.typing import ASGIReceiveCallable

from relay.errors import PayloadTooLarge, RequestTimeout
from relay.ingest.envelope import MAX_BATCH_BODY_BYTES, MAX_BODY_BYTES
from relay.media_types import NDJSON
from relay.server.handle import ConnectionHandle
from relay.web.body_budget import BodyBudget
from relay.web.headers import RequestHeaders

_TOO_LARGE = (
    f"The body is too large: {MAX_BODY_BYTES} bytes are allowed, {MAX_BATCH_BODY_BYTES} for NDJSON."
)


class ClientGone(Exception):
    """The client disconnected before its request was complete. No answer is sent."""


class _ReadState(Enum):
    """How much of a body was read."""

    NOTHING = auto()
    WHOLE = auto()
    PART = auto()  # too large or too slow; the rest is not read
    ABANDONED = auto()  # the client disconnected


class RequestBody:
    """The body of one request. `timeout` is in seconds, for the whole body.

    `handle` is None under another server than Relay's.
    """

    __slots__ = ("_body_budget", "_handle", "_headers", "_read_state", "_receive", "_timeout")

    def __init__(
        self,
        headers: RequestHeaders,
        handle: ConnectionHandle | None,
        receive: ASGIReceiveCallable,
        body_budget: BodyBudget,
        timeout: float,
    ) -> None:
        self._headers = headers
        self._handle = handle
        self._receive = receive
        self._body_budget = body_budget
        self._timeout = timeout
        self._read_state = _ReadState.NOTHING

    async def read(self) -> bytes:
        """Read the whole body, once. Raises PayloadTooLarge, RequestTimeout, ClientGone."""
        if self._came_with_head:
            message: Any = await self._receive()
            self._read_state = _ReadState.WHOLE
            return cast("bytes", message["body"])
        self._read_state = _ReadState.PART
        max_bytes = _max_body_bytes(self._headers.get("Content-Type", ""))
        content_length = self._headers.raw(b"content-length")
        if content_length.isdigit() and int(content_length) > max_bytes:
            raise PayloadTooLarge(_TOO_LARGE)
        with self._body_budget.body(self._timeout) as body:
            while True:
                message = await self._receive()
                if message["type"] == "http.disconnect":
                    self._read_state = _ReadState.ABANDONED
                    raise ClientGone()
                if not self._body_budget.add(body, message["body"]):
                    break
                if not message.get("more_body", False):
                    self._read_state = _ReadState.WHOLE
                if len(body.data) > max_bytes:
                    raise PayloadTooLarge(_TOO_LARGE)
                if self._read_state is _ReadState.WHOLE:
                    return bytes(body.data)
        raise RequestTimeout()

    async def discard_unread(self, *, wait: bool) -> None:
        """Read and drop a body that the handler did not read. Raises ClientGone.

        Without `wait`, only a body that came with the head is read. A client that waits for
        `100 Continue` does not get it. A body that is too large or too slow is left unread.
        """
        waits_for_continue = self._handle is not None and self._handle.waits_for_continue
        if self._read_state is _ReadState.NOTHING and (
            self._came_with_head or (wait and not waits_for_continue)
        ):
            with suppress(PayloadTooLarge, RequestTimeout):
                await self.read()
        if self._read_state is _ReadState.ABANDONED:
            raise ClientGone()

    @property
    def _came_with_head(self) -> bool:
        """Whether the whole body came with the request's head, and is small therefore."""
        return self._handle is not None and self._handle.has_whole_body


def _max_body_bytes(content_type: str) -> int:
    """The most bytes that a body of this Content-Type may have."""
    batch = content_type.partition(";")[0].strip().lower() == NDJSON
    return MAX_BATCH_BODY_BYTES if batch else MAX_BODY_BYTES
