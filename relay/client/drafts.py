"""Builds events: ids, times, payloads within the limits, and logs that can be joined."""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from relay.client.payload_values import TooManyValues, encode_text
from relay.client.payload_values import encode_json as encode_json
from relay.identifiers import as_identifier

MAX_PAYLOAD_BYTES = 65_536  # Relay's limit
MAX_LOG_BYTES = 60_000  # of text in one log event, as JSON: room for the other keys
MAX_KEYS_BYTES = 4_096  # of those other keys

Report = Callable[[str], None]

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
    return f"{as_identifier(word)[:40] or 'task'}-{secrets.token_hex(4)}"


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
        ends_blank: bool = False,
        key: object = None,
        event_id: str | None = None,
        ts: str | None = None,
    ) -> None:
        """`payload` is JSON. With `text`, it is cut off where that inside of a string belongs.

        `ends_blank`: the last line of the text is blank. It gets an end, because readers take a
        line end at the end of a message for that of the line before.
        """
        self.event_type = event_type
        self.task_id = task_id
        self.key = key  # logs with the same key may be joined
        self.created = time.monotonic()
        words = (event_type, event_id or new_id(), ts or now())
        known = b'{"event_type":%b,"event_id":%b,"ts":%b,' % (*map(encode_json, words),)
        named = b'"task_id":%b,' % msgspec.json.encode(task_id) if task_id is not None else b""
        self._head = known + named + b'"payload":' + payload
        self._texts = [] if text is None else [text]
        self._tail = b"}" if text is None else b'\\n"}}' if ends_blank else b'"}}'
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
        self.size += other.text_size + 2 + len(other._tail) - len(self._tail)
        self._tail = other._tail
        return True

    def line(self) -> bytes:
        """The event as a line of NDJSON."""
        return self._head + b"\\n".join(self._texts) + self._tail + b"\n"


def event(
    event_type: str,
    payload: Any,
    task_id: str | None = None,
    *,
    event_id: str | None = None,
    ts: str | None = None,
    report: Report = lambda problem: None,
) -> Draft:
    """Build an event from any payload; `report` is called with what it could not represent.

    Raises ValueError if the payload is too large.
    """
    body = encode_json(payload, report)
    if len(body) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"its payload has {len(body)} bytes; the limit is {MAX_PAYLOAD_BYTES}")
    return Draft(event_type, body, task_id=task_id, event_id=event_id, ts=ts)


def log_drafts(
    text: str,
    task_id: str | None = None,
    keys: Mapping[str, Any] | None = None,
    report: Report = lambda problem: None,
) -> Iterator[Draft]:
    """Build log events from a text, as few as possible. `keys` are added to each payload.

    A line end at the end of the text begins no further line.
    """
    head = _encode_keys(keys, report) + b'"message":"'
    for piece, ends_blank in _split_text(text.removesuffix("\n")):
        key = (task_id, head)
        yield Draft("log", head, task_id=task_id, text=piece, ends_blank=ends_blank, key=key)


def _encode_keys(keys: Mapping[str, Any] | None, report: Report) -> bytes:
    """The start of a JSON object with these keys. They are left out if they are too large."""
    others = {name: value for name, value in (keys or {}).items() if name != "message"}
    if not others:
        return b"{"
    try:
        encoded = encode_json(others, report)
    except TooManyValues:
        encoded = b""
    if 0 < len(encoded) <= MAX_KEYS_BYTES:
        return encoded[:-1] + b","
    report(f"the keys of a log have more than {MAX_KEYS_BYTES} bytes; they are left out")
    return b"{"


def _split_text(text: str) -> Iterator[tuple[bytes, bool]]:
    """Split a text into insides of JSON strings within `MAX_LOG_BYTES`, at newlines if possible.

    Yields each, and whether its last line is blank.
    """
    start, end = 0, -1
    while end < len(text):
        end = min(len(text), start + MAX_LOG_BYTES)
        if end < len(text):
            end = _cut_position(text, start, end)
        inside = encode_text(text[start:end])[1:-1]
        while len(inside) > MAX_LOG_BYTES:  # JSON may use many bytes for one character
            size = (end - start) * (MAX_LOG_BYTES - 100) // len(inside)
            end = _cut_position(text, start, start + max(1, size))
            inside = encode_text(text[start:end])[1:-1]
        yield inside, start == end or text[end - 1] == "\n"
        start = end + 1 if text[end : end + 1] == "\n" else end


def _cut_position(text: str, start: int, end: int) -> int:
    """Where to cut: at the last newline before `end`, or at `end` if that is too far back."""
    cut = text.rfind("\n", start + (end - start) // 4, end + 1)
    return cut if cut > start else end
