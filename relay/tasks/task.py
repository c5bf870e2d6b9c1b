"""The state of one task, as its events tell it."""

import hashlib
from datetime import datetime
from typing import Literal, get_args

import msgspec

TaskState = Literal["running", "waiting", "succeeded", "failed", "canceled"]
TASK_STATES: tuple[str, ...] = get_args(TaskState)
ENDED = frozenset({"succeeded", "failed", "canceled"})

UNTITLED_PREFIX = "untitled-"
UNTITLED_DIGITS = 16  # hex digits of a hash, in the id of a task that has no id of its own


class FoldedTask(msgspec.Struct, gc=False):
    """What the events of one task say about it, up to `last_seq`.

    `first_seq` and `events` are of the present run. Times are those at which events were received,
    and `started_ts` is the producer's time of the run's first event. A `forgotten` task is a mark:
    it keeps its id, `run` and the fields that late events change, and is shown to no reader.
    `open_asks` are the ids of its open asks, the oldest first.
    """

    task_id: str
    run: int
    state: str
    first_seq: int
    last_seq: int
    events: int
    started_at: datetime
    last_at: datetime
    started_ts: str
    title: str | None = None
    message: str | None = None
    progress: float | None = None
    metrics: dict[str, float] | None = None
    parent_id: str | None = None
    url: str | None = None
    lease_s: int | None = None
    stoppable: bool = False
    exit_code: int | None = None
    duration_s: float | None = None
    ended_at: datetime | None = None
    open_asks: tuple[str, ...] = ()
    forgotten: bool = False

    @property
    def ended(self) -> bool:
        """Whether the present run has ended."""
        return self.state in ENDED


def untitled_id(title: str) -> str:
    """The id of a task whose events have none: made from the title of the event."""
    digest = hashlib.sha256(title.encode("utf-8", "replace")).hexdigest()
    return f"{UNTITLED_PREFIX}{digest[:UNTITLED_DIGITS]}"
