"""Models of a stream's messages, for the documents. Tests check real messages against them."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from relay.events import EVENT_TYPES, NOTE_TYPES
from relay.media_types import JSON
from relay.realtime.close_codes import Close
from relay.realtime.encoding import SSE_RETRY, sse_control
from relay.schema_types import CursorText, Examples, Identifier, Moment, Seq, Timestamp
from relay.tasks.view import TaskView

EventType = Annotated[str, Meta(extra_json_schema={"enum": [*EVENT_TYPES, *NOTE_TYPES]})]

CODES = sorted({close.code for close in Close if close is not Close.GONE})


class StreamEvent(msgspec.Struct):
    """An event. Events come in `seq` order, none twice, none missing."""

    id: Annotated[str, Meta(description="The producer's `event_id`, or a UUIDv7.")]
    seq: Seq
    cursor: CursorText
    event_type: EventType
    ts: Annotated[Timestamp, Meta(description="The producer's time, as sent.")]
    received_at: Annotated[Moment, Meta(description="When Relay received it.")]
    payload: Annotated[Any, Meta(description="Any JSON, as sent.")]
    task_id: Annotated[str, Meta(description="The task this belongs to.")] | UnsetType = UNSET


class Hello(msgspec.Struct):
    """The first message of every stream: where it starts, and its heartbeat."""

    type: Literal["hello"]
    cursor: Annotated[CursorText, Meta(description="Just before the first event that follows.")]
    resumed: Annotated[
        bool, Meta(description="Whether the stream continues from the given cursor.")
    ]
    oldest: Annotated[int, Meta(ge=1, description="The `seq` of the oldest stored event.")]
    heartbeat_s: Annotated[float, Meta(gt=0, description="Seconds of silence before a heartbeat.")]
    token_ttl_s: Annotated[int, Meta(ge=0, description="Seconds until the credential expires.")]
    reason: (
        Annotated[
            Literal["epoch", "ahead"],
            Meta(description="Why not resumed: cursor of another epoch, or ahead of the stream."),
        ]
        | UnsetType
    ) = UNSET


class Gap(msgspec.Struct):
    """Events from one `seq` to another, both inclusive, that were deleted before being sent."""

    type: Literal["gap"]
    first: Annotated[int, Meta(ge=1)] = field(name="from")
    last: Annotated[int, Meta(ge=1)] = field(name="to")
    cursor: CursorText


class Goodbye(msgspec.Struct):
    """The last message before Relay closes the stream."""

    type: Literal["close"]
    code: Annotated[int, Meta(extra_json_schema={"enum": CODES})]
    reason: Annotated[
        str, Meta(description="A reason of the close code table, or a problem's code.")
    ]
    retry_after_ms: (
        Annotated[int, Meta(ge=0, description="When to reconnect; null: not with this request.")]
        | None
    )


class Ping(msgspec.Struct):
    """A heartbeat after `heartbeat_s` of silence; WebSockets with the subprotocol only."""

    type: Literal["ping"]
    ts: Moment


class TasksSnapshot(msgspec.Struct):
    """The user's tasks as of `cursor`, on a stream with `tasks=1`; in parts, by `more`."""

    type: Literal["tasks"]
    cursor: CursorText
    counts: Annotated[dict[str, int], Meta(description="Tasks that are not hidden, by state.")]
    tasks: list[TaskView]
    more: Annotated[bool, Meta(description="Whether another part follows.")]


class TaskChanged(msgspec.Struct):
    """A task that has changed, on a stream with `tasks=1`."""

    type: Literal["task"]
    task: TaskView


class TaskDeleted(msgspec.Struct):
    """A task that was forgotten, on a stream with `tasks=1`."""

    type: Literal["task"]
    task_id: Identifier
    deleted: Literal[True]


EVENT = StreamEvent(
    id="build-17-done",
    seq=42,
    cursor=Examples.NEXT,
    event_type="task_succeeded",
    task_id="build-17",
    ts="2026-01-31T12:00:00Z",
    received_at=Examples.NOW,
    payload={"title": "Build 17", "duration_s": 81.4},
)
HELLO = Hello(
    "hello", cursor=Examples.CURSOR, resumed=True, oldest=1, heartbeat_s=15.0, token_ttl_s=2_592_000
)
GAP = Gap("gap", first=12, last=41, cursor=Examples.CURSOR)
GOODBYE = Goodbye(
    "close",
    code=Close.RESTART.code,
    reason=Close.RESTART.reason,
    retry_after_ms=Close.RESTART.retry_after_ms,
)
TASK = TaskView(
    task_id="build-7",
    run=2,
    state="running",
    title="make test",
    progress=0.4,
    message="12 of 30",
    metrics={"loss": 0.31},
    parent_id=None,
    url=None,
    exit_code=None,
    started_at=Examples.NOW,
    last_at=Examples.NOW,
    ended_at=None,
    lost_at=None,
    duration_s=None,
    first_seq=10,
    last_seq=42,
    events=33,
    lease_s=90,
    stoppable=False,
    stop_requested_at=None,
    ask_id=None,
    hidden=False,
)
TASKS = TasksSnapshot("tasks", Examples.NEXT, {"running": 1}, [TASK], more=False)
TASK_CHANGED = TaskChanged("task", TASK)
TASK_DELETED = TaskDeleted("task", "build-6", deleted=True)
PING = Ping("ping", ts=Examples.NOW)


class ServerSentEvent(msgspec.Struct, omit_defaults=True):
    """One server-sent event; `data` is JSON: a message of /asyncapi.json."""

    data: Annotated[str, Meta(extra_json_schema={"contentMediaType": JSON})]
    id: CursorText | UnsetType = UNSET
    event: (
        Annotated[
            Literal["message", "hello", "gap", "tasks", "task", "close"],
            Meta(description="The message type; absent for events, which `onmessage` receives."),
        ]
        | UnsetType
    ) = UNSET
    retry: int | UnsetType = UNSET


SSE_EVENT = ServerSentEvent(msgspec.json.encode(EVENT).decode(), id=EVENT.cursor)


def sse_example() -> str:
    """How an SSE stream begins, made by the code that writes it."""
    hello = sse_control("hello", msgspec.json.encode(HELLO), HELLO.cursor)
    data = f"id: {SSE_EVENT.id}\ndata: {SSE_EVENT.data}\n\n"
    return (SSE_RETRY + hello).decode() + data
