"""The SSE transport: events and control messages as server-sent events (HTML, section 9.2)."""

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from relay.media_types import EVENT_STREAM
from relay.realtime.batch import Batch
from relay.realtime.close_codes import Close
from relay.realtime.encoding import (
    SSE_HEARTBEAT,
    SSE_RETRY,
    chunk,
    control_json,
    sse_control,
)
from relay.realtime.event_range import EventRange
from relay.realtime.transport import abort_handle
from relay.server.handle import ConnectionHandle

MAX_HEARTBEAT_SECONDS = 15.0  # common proxies close a silent connection after 30 to 60 seconds

HEADERS = (
    (b"content-type", f"{EVENT_STREAM}; charset=utf-8".encode()),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),  # nginx forwards each block at once
)

Write = Callable[[bytes], Awaitable[None]]
WaitForDisconnect = Callable[[], Awaitable[None]]


class SseTransport:
    """Writes to a started HTTP response.

    `write` sends body bytes through ASGI. `wait_for_disconnect` returns when the client has
    disconnected.
    """

    __slots__ = ("_chunked", "_handle", "_sent_at", "_wait_for_disconnect", "_write", "heartbeat")

    name = "sse"

    def __init__(
        self,
        write: Write,
        wait_for_disconnect: WaitForDisconnect,
        handle: ConnectionHandle | None,
        *,
        heartbeat: float,
    ) -> None:
        self.heartbeat = min(heartbeat, MAX_HEARTBEAT_SECONDS)
        self._write = write
        self._wait_for_disconnect = wait_for_disconnect
        self._handle = handle
        self._chunked = handle is not None and handle.framing == "chunked"
        self._sent_at = trio.current_time()

    def try_write(self, batch: Batch) -> bool:
        if self._handle is None:
            return False
        written = self._handle.try_send(batch.sse_chunk if self._chunked else batch.sse)
        if written:
            self._sent_at = batch.at
        return written

    async def send(self, event_range: EventRange) -> None:
        await self._send(event_range.sse)

    async def send_control(self, kind: str, **fields: Any) -> None:
        block = sse_control(kind, control_json(kind, fields), fields.get("cursor"))
        await self._send(SSE_RETRY + block if kind == "hello" else block)

    async def send_message(self, kind: str, body: bytes) -> None:
        await self._send(sse_control(kind, body, None))

    async def _send(self, body: bytes) -> None:
        if self._handle is None:
            await self._write(body)
        else:
            await self._handle.send_raw(chunk(body) if self._chunked else body)
        self._sent_at = trio.current_time()

    def next_heartbeat_at(self) -> float:
        return self._sent_at + self.heartbeat

    async def send_heartbeat(self) -> None:
        await self._send(SSE_HEARTBEAT)

    def idle_deadline(self) -> float:
        return float("inf")

    def listen(self, end: Callable[[Close], None], nursery: trio.Nursery) -> None:
        nursery.start_soon(self._end_on_disconnect, end)

    async def _end_on_disconnect(self, end: Callable[[Close], None]) -> None:
        await self._wait_for_disconnect()  # an SSE client sends nothing
        end(Close.GONE)

    async def close(self, close: Close, reason: str) -> None:
        """Do nothing: the `close` message was the last event, and the response ends by itself."""

    def abort(self) -> Close:
        return abort_handle(self._handle)
