"""A task as Relay knows it: read from its API and from streams."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

ACTIVE_STATES = ("running", "waiting", "lost")
ENDED_STATES = ("succeeded", "failed", "canceled")
TASK_STATES = (*ACTIVE_STATES, *ENDED_STATES)
MIN_YEAR, MAX_YEAR = 1970, 9998  # of a task's times: beyond, a zone may have no `datetime`


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

    def __post_init__(self) -> None:
        """Raises ValueError for a time that cannot be shown in every zone."""
        for moment in (self.started_at, self.last_at, self.ended_at, self.stop_requested_at):
            if moment is not None and not MIN_YEAR <= moment.year <= MAX_YEAR:
                raise ValueError("a time of no task")

    @property
    def ended(self) -> bool:
        """Whether its run has ended."""
        return self.state in ENDED_STATES


def read_task(fields: Any) -> TaskInfo:
    """A task from the fields of Relay's JSON. Raises `msgspec.ValidationError`."""
    return msgspec.convert(fields, TaskInfo)
