"""Encodes events as WebSocket frames and SSE blocks. Pure: no sockets, no Quart, no database.

An event is encoded once. Its WebSocket frame and its SSE block are made from that at most once
each and shared by all readers, because a server's frames are the same bytes for every client
(RFC 6455, section 5.1: only a client masks).
"""

import struct
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from itertools import chain
from typing import Any, Self

import msgspec

from relay.events import Event, rfc3339

MAX_MESSAGE_BYTES = 256 * 1024  # of one message or write, which several events may share

_encode = msgspec.json.encode


class EncodedEvent:
    """One committed event with its bytes for each transport, shared by all its readers."""

    __slots__ = ("_sse", "_websocket", "epoch", "json", "received_at", "seq")

    def __init__(
        self, epoch: str, seq: int, json: bytes, received_at: datetime | None = None
    ) -> None:
        self.epoch = epoch
        self.seq = seq
        self.json = json
        self.received_at = received_at  # None: the delivery delay is not measured
        self._websocket: bytes | None = None
        self._sse: bytes | None = None

    @classmethod
    def from_event(cls, event: Event) -> Self:
        """Encode an event that this process has just committed."""
        return cls(event.epoch, event.seq, event_json(event), event.received_at)

    @property
    def cursor(self) -> str:
        """The cursor of a reader that has seen this event."""
        return f"{self.epoch}.{self.seq}"

    @property
    def size(self) -> int:
        """About how many bytes this event takes in an inbox."""
        return len(self.json)

    @property
    def websocket(self) -> bytes:
        """The event as a complete WebSocket text message."""
        if self._websocket is None:
            self._websocket = text_frame(self.json)
        return self._websocket

    @property
    def sse(self) -> bytes:
        """The event as an SSE block, without an event name so that `onmessage` gets it."""
        if self._sse is None:
            self._sse = b"id: %s\ndata: %s\n\n" % (self.cursor.encode(), self.json)
        return self._sse


class CommittedEvents:
    """Successive events of one user that this process has just committed, at least one.

    They are encoded when that is needed first, and once for all.
    """

    __slots__ = ("_encoded", "_events")

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events
        self._encoded: list[EncodedEvent] | None = None

    @property
    def encoded(self) -> list[EncodedEvent]:
        """The events with their bytes."""
        if self._encoded is None:
            self._encoded = [EncodedEvent.from_event(event) for event in self._events]
        return self._encoded

    @property
    def epoch(self) -> str:
        return self._events[0].epoch

    @property
    def first(self) -> int:
        """The seq of the first event."""
        return self._events[0].seq

    @property
    def last(self) -> int:
        """The seq of the last event."""
        return self._events[-1].seq

    @property
    def received_at(self) -> datetime:
        """When the first event was received."""
        return self._events[0].received_at

    @property
    def payload_bytes(self) -> int:
        """The size of the payloads: the encoded events are larger."""
        return sum([len(event.payload) for event in self._events])


def event_json(event: Event) -> bytes:
    """The event as JSON for its readers, the payload byte for byte as stored.

    For events that are read back, the database builds the same text (`relay/db/pages.py`).
    """
    name, task = event.id, event.task_id or ""
    if "\\" in name or '"' in name or "\\" in task or '"' in task:
        name, task = _escape(name), _escape(task)
    task_field = f',"task_id":"{task}"' if task else ""
    return (
        f'{{"id":"{name}","seq":{event.seq},"cursor":"{event.epoch}.{event.seq}",'
        f'"event_type":"{event.event_type}"{task_field},"ts":"{event.ts}",'
        f'"received_at":"{rfc3339(event.received_at)}","payload":{event.payload}}}'
    ).encode()


def _escape(name: str) -> str:
    """Escape printable ASCII for a JSON string: only backslash and quote need it."""
    return name.replace("\\", "\\\\").replace('"', '\\"')


@lru_cache(maxsize=4096)  # the events of a stream have few different lengths
def _frame_header(length: int) -> bytes:
    """The header of a text frame of `length` bytes, unfragmented and unmasked (RFC 6455, 5.2)."""
    if length < 126:
        return bytes((0x81, length))
    if length < 65_536:
        return struct.pack("!BBH", 0x81, 126, length)
    return struct.pack("!BBQ", 0x81, 127, length)


def text_frame(text: bytes) -> bytes:
    """One text message as a frame."""
    return _frame_header(len(text)) + text


def text_frames(texts: Sequence[bytes]) -> bytes:
    """Several text messages, a frame for each."""
    headers = map(_frame_header, map(len, texts))
    return b"".join(chain.from_iterable(zip(headers, texts, strict=True)))


def array_frame(texts: Sequence[bytes]) -> bytes:
    """Several JSON texts as one array in one text frame."""
    return text_frame(b"[" + b",".join(texts) + b"]")


def chunk(body: bytes) -> bytes:
    """One chunk of a chunked response (RFC 9112, section 7.1)."""
    return b"%x\r\n%s\r\n" % (len(body), body)


SSE_HEARTBEAT = b": still here\n\n"
SSE_RETRY = b"retry: 2000\n"  # milliseconds that EventSource waits before it reconnects


def control_json(kind: str, fields: dict[str, Any]) -> bytes:
    """A control message, `type` first. UNSET fields are left out; None becomes null."""
    present = {name: value for name, value in fields.items() if value is not msgspec.UNSET}
    return _encode({"type": kind, **present})


def sse_control(kind: str, body: bytes, cursor: str | None) -> bytes:
    """A control message as a named SSE event; a cursor becomes its `id`."""
    position = b"" if cursor is None else b"id: %s\n" % cursor.encode()
    return b"event: %s\n%sdata: %s\n\n" % (kind.encode(), position, body)
