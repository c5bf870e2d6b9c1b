"""A response that streams by pushing: one function writes it, top to bottom, until it ends.

Quart's own streaming pulls from a generator, and a generator must not yield inside a nursery
or a cancel scope. So the ASGI connection hands the response its `send` instead.
"""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from hypercorn.typing import ASGISendCallable
from quart import Response
from quart_trio.asgi import TrioASGIHTTPConnection

from relay.realtime.sse import HEADERS, Write
from relay.server.transport import EXTENSION, Transport

Run = Callable[[Write, Transport | None], Awaitable[None]]


class EventStream(Response):
    """`run` is called once the response has started; its return ends the response."""

    timeout = None  # Quart's would cut the stream after a minute

    def __init__(self, run: Run) -> None:
        super().__init__(b"", 200, HEADERS)
        self.headers.pop("Content-Length", None)
        self.run = run


class StreamingHTTPConnection(TrioASGIHTTPConnection):
    """quart-trio's connection, for an app that also answers with EventStream."""

    async def _send_response(self, send: ASGISendCallable, response: Any) -> None:
        if not isinstance(response, EventStream) or self.scope["method"] == "HEAD":
            await super()._send_response(send, response)
            return
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in response.headers.items()
        ]
        await send(cast("Any", {"type": "http.response.start", "status": 200, "headers": headers}))

        async def write(body: bytes) -> None:
            await send({"type": "http.response.body", "body": body, "more_body": True})

        extensions: dict[str, Any] = self.scope.get("extensions") or {}
        await response.run(write, extensions.get(EXTENSION))
        await send({"type": "http.response.body", "body": b"", "more_body": False})
