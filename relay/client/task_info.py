"""A task as Relay knows it: read from its API and from streams."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

ACTIVE_STATES = ("running", "waiting", "lost")
ENDED_STATES = ("succeeded", "failed", "canceled")
TASK_STATES = (*ACTIVE_STATES, *ENDED_STATES)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskInfo:
    """A task at one moment. Times are those of Relay's database, in UTC.

    `state` is one of `running`, `waiting`, `lost`, `succeeded`, `failed` and `canceled`; a later
    Relay may have more. `progress` is from 0 to 1, `duration_s` and `lease_s` are in seconds.
    `first_seq` and `events` are of the present run.
    """

    task_id: str
    run: int
    state: str
    title: str | None
    progress: float | None
    message: str | None
    metrics: Mapping[str, float]
    parent_id: str | None
    url: str | None
    exit_code: int | None
    started_at: datetime
    last_at: datetime
    ended_at: datetime | None
    duration_s: float | None
    first_seq: int
    last_seq: int
    events: int
    lease_s: int | None = None
    stoppable: bool = False
    stop_requested_at: datetime | None = None
    ask_id: str | None = None
    hidden: bool = False

    @property
    def ended(self) -> bool:
        """Whether its run has ended."""
        return self.state in ENDED_STATES


def read_task(fields: Any) -> TaskInfo:
    """A task from the fields of Relay's JSON. Raises `msgspec.ValidationError`."""
    return msgspec.convert(fields, TaskInfo)
