"""Streams as the model reads them: each message with its values as JSON text, as they came."""

from collections import deque
from dataclasses import dataclass
from typing import Any

import msgspec

from tests.support.client import blocking
from tests.support.client.protocol import fields_of

MAX_ARRAY = 256 * 1024  # bytes of a message that holds several events
Fields = dict[str, msgspec.Raw]
_decode = msgspec.json.Decoder(Fields).decode


@dataclass(frozen=True)
class Message:
    """One event or control; its values are JSON text as it came. On SSE also `id` and `event`."""

    fields: Fields
    sse_id: str | None = None
    sse_name: str | None = None

    @property
    def is_event(self) -> bool:
        return "event_type" in self.fields

    def text(self, name: str) -> str:
        return bytes(self.fields[name]).decode()

    def __getitem__(self, name: str) -> Any:
        return msgspec.json.decode(self.fields[name]) if name in self.fields else None

    def __str__(self) -> str:
        return str({name: bytes(text)[:80].decode() for name, text in self.fields.items()})


class Messages:
    """The messages of one stream, checked for their form."""

    def __init__(self, stream: blocking.Stream, *, batched: bool) -> None:
        self._stream = stream
        self._batched = batched

    def take(self) -> deque[Message]:
        """What came since the last call."""
        found: deque[Message] = deque()
        stream = self._stream
        if isinstance(stream, blocking.WebSocketStream):
            if stream.answer is not None and stream.answer.status == 101:
                assert stream.subprotocol == ("relay.v1" if self._batched else None)
            while stream.texts:
                found.extend(self._of_text(stream.texts.popleft()))
        elif isinstance(stream, blocking.SseStream):
            while stream.blocks:
                found.extend(_of_block(stream.blocks.popleft()))
        return found

    def _of_text(self, text: str) -> list[Message]:
        if not text.startswith("["):
            return [Message(_decode(text))]
        assert self._batched, "an array for a client that offered no subprotocol"
        size = len(text.encode())
        assert size <= MAX_ARRAY, f"an array of {size} bytes"
        several = [Message(one) for one in msgspec.json.decode(text, type=list[Fields])]
        assert all(message.is_event for message in several), "a control in an array"
        return several


def _of_block(lines: list[str]) -> list[Message]:
    """A comment is a heartbeat and has nothing else in it."""
    if lines[0].startswith(":"):
        assert len(lines) == 1, lines
        return []
    given = fields_of(lines)
    retry = given.pop("retry", None)
    fields = _decode(given.pop("data"))
    message = Message(fields, given.pop("id", None), given.pop("event", None))
    assert not given, f"no field of an event: {given}"
    assert retry == ("2000" if message["type"] == "hello" else None), retry
    return [message]
