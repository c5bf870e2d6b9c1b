"""Builds events: ids, times, payloads within the limits, and logs that can be joined."""

import secrets
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

MAX_PAYLOAD_BYTES = 65_536  # Relay's limit
MAX_LOG_BYTES = 60_000  # of text in one log event, as JSON: room for the other keys
MAX_KEYS_BYTES = 4_096  # of those other keys

ENDINGS = frozenset({"task_succeeded", "task_failed"})
MILESTONES = ENDINGS | {"task_started"}


def new_id() -> str:
    """A new UUIDv7 (RFC 9562): unique, and ordered by creation time in milliseconds."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76  # version
    value = value & ~(0x3 << 62) | 0x2 << 62  # variant
    digits = f"{value:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_task_id(title: str) -> str:
    """A new task_id: the first word of the title and a random suffix."""
    word = (title.split() or ["task"])[0].rpartition("/")[2]
    return f"{clean_id(word)[:40] or 'task'}-{secrets.token_hex(4)}"


def clean_id(text: str) -> str:
    """The text as a valid task_id: visible ASCII, at most 128 characters."""
    return "".join(letter if "!" <= letter <= "~" else "-" for letter in text)[:128]


def encode_json(value: Any) -> bytes:
    """Encode as JSON. Values of types without a JSON form are encoded as their repr."""
    try:
        return msgspec.json.encode(value, enc_hook=repr)
    except (UnicodeEncodeError, TypeError, ValueError, RecursionError):
        return msgspec.json.encode(_to_json_types(value, 8))


def _to_json_types(value: Any, depth: int) -> Any:
    """Convert to JSON types: lone surrogates replaced, keys as text, depth limited."""
    if isinstance(value, Mapping) and depth:
        return {
            _to_json_types(str(key), 0): _to_json_types(inner, depth - 1)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple) and depth:
        return [_to_json_types(inner, depth - 1) for inner in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else repr(value)
    return text.encode("utf-8", "replace").decode()


class Draft:
    """An event that waits to be sent. Lines may be added to a log until then."""

    __slots__ = ("_head", "_tail", "_texts", "created", "event_type", "key", "size", "task_id")

    def __init__(
        self,
        event_type: str,
        payload: bytes,
        *,
        task_id: str | None = None,
        text: bytes | None = None,
        key: object = None,
        event_id: str | None = None,
        ts: str | None = None,
    ) -> None:
        """`payload` is JSON. With `text`, it is cut off where that inside of a string belongs."""
        self.event_type = event_type
        self.task_id = task_id
        self.key = key  # logs with the same key may be joined
        self.created = time.monotonic()
        words = (event_type, event_id or new_id(), ts or now())
        known = b'{"event_type":%b,"event_id":%b,"ts":%b,' % (*map(encode_json, words),)
        named = b'"task_id":%b,' % msgspec.json.encode(task_id) if task_id is not None else b""
        self._head = known + named + b'"payload":' + payload
        self._texts = [] if text is None else [text]
        self._tail = b"}" if text is None else b'"}}'
        self.size = len(self._head) + len(text or b"") + len(self._tail)

    @property
    def text_size(self) -> int:
        return self.size - len(self._head) - len(self._tail)

    def join(self, other: "Draft") -> bool:
        """Append the lines of another log, if the keys are equal and both fit into one event."""
        if self.key is None or self.key != other.key:
            return False
        if self.text_size + other.text_size + 2 > MAX_LOG_BYTES:
            return False
        self._texts += other._texts
        self.size += other.text_size + 2
        return True

    def line(self) -> bytes:
        """The event as a line of NDJSON."""
        return self._head + b"\\n".join(self._texts) + self._tail + b"\n"


def event(event_type: str, payload: Any, task_id: str | None = None, **given: Any) -> Draft:
    """Build an event. Raises ValueError if its payload is too large."""
    body = encode_json(payload)
    if len(body) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"its payload has {len(body)} bytes; the limit is {MAX_PAYLOAD_BYTES}")
    return Draft(event_type, body, task_id=task_id, **given)


def log_drafts(text: str, task_id: str | None = None, **keys: Any) -> Iterator[Draft]:
    """Build log events from a text, as few as possible. `keys` are added to each payload."""
    payload = encode_json(keys) if keys else b"{}"
    if len(payload) > MAX_KEYS_BYTES:
        payload = b"{}"
    head = payload[:-1] + (b"," if keys and payload != b"{}" else b"") + b'"message":"'
    for piece in _split_text(text):
        yield Draft("log", head, task_id=task_id, text=piece, key=(task_id, head))


def _split_text(text: str) -> Iterator[bytes]:
    """Split a text into insides of JSON strings within `MAX_LOG_BYTES`, at newlines if possible."""
    start = 0
    while start < len(text) or start == 0:
        end = min(len(text), start + MAX_LOG_BYTES)
        if end < len(text):
            end = _cut_position(text, start, end)
        inside = encode_json(text[start:end])[1:-1]
        while len(inside) > MAX_LOG_BYTES:  # JSON may use many bytes for one character
            size = (end - start) * (MAX_LOG_BYTES - 100) // len(inside)
            end = _cut_position(text, start, start + max(1, size))
            inside = encode_json(text[start:end])[1:-1]
        yield inside
        start = end + 1 if text[end : end + 1] == "\n" else max(end, 1)


def _cut_position(text: str, start: int, end: int) -> int:
    """Where to cut: at the last newline before `end`, or at `end` if that is too far back."""
    cut = text.rfind("\n", start + (end - start) // 4, end + 1)
    return cut if cut > start else end
