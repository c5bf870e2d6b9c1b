"""Hypercorn's HTTP exchange, with the endings that quart-trio and real clients need."""

from time import time
from typing import Any

import trio
from hypercorn.protocol.events import Body, EndBody, Event, Response, StreamClosed
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream
from hypercorn.typing import ASGISendEvent, HTTPResponseBodyEvent, ResponseSummary
from hypercorn.utils import suppress_body

from .refusals import Refusals
from .transport import WireTransport
from .wire import Wire


class GuardedHTTPStream(HTTPStream):
    """One request and its response."""

    def __init__(
        self, *args: Any, wire: Wire, transport: WireTransport, refusals: Refusals
    ) -> None:
        super().__init__(*args)
        self._wire = wire
        self._start: ASGISendEvent | None = None
        self._transport = transport
        self._refusals = refusals

    async def handle(self, event: Event) -> None:
        if isinstance(event, StreamClosed):
            self._transport.release()
        await super().handle(event)

    async def app_send(self, message: ASGISendEvent | None) -> None:
        if self.closed:
            await trio.lowlevel.checkpoint()  # a loop that only sends must not hold the others up
        elif message is not None and self._may_wait(message):
            self._start = message
        elif self._start is not None:
            await self._send_with_start(message)
        elif message is None or _is_last(message):
            self._transport.shut()
            # The end of a response tells the application `http.disconnect`, on which quart-trio
            # cancels this very task: unshielded, the connection would be neither kept nor closed.
            with trio.CancelScope(shield=True):
                await super().app_send(message)
        else:
            await super().app_send(message)
            if message["type"] == "http.response.start" and self._is_uncounted():
                self._transport.open()

    def _may_wait(self, message: ASGISendEvent) -> bool:
        """Whether this is a head whose body follows at once: it has a length, so it has an end."""
        return (
            message["type"] == "http.response.start"
            and self.state is ASGIHTTPState.REQUEST
            and any(name.lower() == b"content-length" for name, _ in message.get("headers", []))
        )

    async def _send_with_start(self, message: ASGISendEvent | None) -> None:
        """Write a waiting head together with the first of its body."""
        start, self._start = self._start, None
        self._wire.hold()
        try:
            await super().app_send(start)
            if message is not None and message["type"] == "http.response.body":
                await super().app_send(_body(message.get("body", b""), more=True))
                if message.get("more_body", False):
                    return
                message = _body(b"", more=False)
        finally:
            await self._wire.release()
        await self.app_send(message)  # the end comes after the write: it may close the socket

    def _is_uncounted(self) -> bool:
        """Whether the response has a body that only its framing delimits."""
        names = {name.lower() for name, _ in self.response.get("headers", [])}
        bodiless = suppress_body(self.scope["method"], int(self.response["status"]))
        return b"content-length" not in names and not bodiless

    async def _send_error_response(self, status_code: int) -> None:
        """Answer in the application's place, which died before it said anything."""
        refusal = self._refusals.of_status(status_code, self.scope["headers"])
        await self.send(Response(self.stream_id, refusal.headers, status_code))
        if self.scope["method"] != "HEAD":
            await self.send(Body(self.stream_id, refusal.body))
        await self.send(EndBody(self.stream_id))
        self.state = ASGIHTTPState.CLOSED
        summary: ResponseSummary = {"status": status_code, "headers": refusal.headers}
        await self.config.log.access(self.scope, summary, time() - self.start_time)


def _is_last(message: ASGISendEvent) -> bool:
    return message["type"] == "http.response.body" and not message.get("more_body", False)


def _body(data: bytes, *, more: bool) -> HTTPResponseBodyEvent:
    return {"type": "http.response.body", "body": data, "more_body": more}
