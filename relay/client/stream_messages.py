"""Reads the messages of Relay's stream from the body of an SSE answer.

Another program may answer with a stream of its own. A connection is Relay's from its first message
on, a `hello` or a `close` with their fields; only then do events and cursors count.
"""

import re
from typing import Any

import msgspec

from relay.client.task_info import TaskInfo

MAX_BLOCK_BYTES = 2**20  # the largest event has a tenth of that
_CURSOR = re.compile(rb"[!-~]{1,256}")  # it is sent in a header


class NotRelaysStream(ValueError):
    """The body is no stream of Relay."""


class StreamEvent(msgspec.Struct, frozen=True):
    """An event. Its payload is the JSON text as stored: any JSON, numbers of any size included."""

    seq: int
    event_type: str
    ts: str
    received_at: str
    payload: msgspec.Raw
    task_id: str | None = None


class StreamMessage(msgspec.Struct, frozen=True):
    """A message: an event, or a control message with its name and fields. `raw` is its JSON."""

    raw: bytes
    event: StreamEvent | None = None
    control: str = ""  # hello, gap, close, tasks, task
    fields: dict[str, Any] = {}


class _Hello(msgspec.Struct):
    cursor: str
    resumed: bool
    reason: str | None = None


class _Gap(msgspec.Struct):
    first: int = msgspec.field(name="from")
    last: int = msgspec.field(name="to")


class _Close(msgspec.Struct):
    code: int
    reason: str
    retry_after_ms: int | None = None


class TasksControl(msgspec.Struct):
    """A part of the snapshot of a user's tasks; `more`: another one follows."""

    cursor: str
    counts: dict[str, int]
    tasks: list[TaskInfo]
    more: bool


class TaskControl(msgspec.Struct):
    """A task that has changed, or the id of one that was deleted."""

    task: TaskInfo | None = None
    task_id: str | None = None
    deleted: bool = False


# By these fields a control message is recognized; it may have more. Later versions of Relay may
# have more kinds.
_KINDS: dict[str, type[msgspec.Struct]] = {
    **{"hello": _Hello, "gap": _Gap, "close": _Close},
    **{"tasks": TasksControl, "task": TaskControl},
}


class MessageDecoder:
    """Decodes the blocks of one connection. `cursor` is that of the last message."""

    def __init__(self, cursor: str | None = None) -> None:
        self.cursor = cursor
        self._rest = b""
        self._has_begun = False

    def feed(self, chunk: bytes) -> list[StreamMessage]:
        """The messages that a part of the body completes. Raises NotRelaysStream."""
        *blocks, self._rest = (self._rest + chunk).split(b"\n\n")
        if len(self._rest) > MAX_BLOCK_BYTES:
            raise NotRelaysStream
        try:
            return [one for block in blocks if (one := self._decode(block)) is not None]
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise NotRelaysStream from None

    def _decode(self, block: bytes) -> StreamMessage | None:
        """The message of a block; None for a heartbeat. Its id becomes the cursor."""
        lines = block.split(b"\n")
        fields = {name: value for name, _, value in (line.partition(b": ") for line in lines)}
        if (raw := fields.get(b"data")) is None:
            return None
        message = _read_message(raw, fields.get(b"event", b"").decode())
        if not self._has_begun and message.control not in ("hello", "close"):
            raise NotRelaysStream
        self._has_begun = True
        if (cursor := fields.get(b"id")) is not None:
            if _CURSOR.fullmatch(cursor) is None:
                raise NotRelaysStream
            self.cursor = cursor.decode()
        return message


def _read_message(raw: bytes, control: str) -> StreamMessage:
    if not control:
        return StreamMessage(raw, msgspec.json.decode(raw, type=StreamEvent))
    fields = msgspec.json.decode(raw, type=dict[str, Any])
    if control in _KINDS:
        msgspec.convert(fields, _KINDS[control])
    return StreamMessage(raw, None, control, fields)
