"""Joins the events of a task, so that many of them are folded like one.

Between a start and an end only the last title, message and progress count, so successive `log` and
`task_progress` events become one `Activity`. Of them only those are decoded that may matter: from
the last one back to those with what is still missing.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

import msgspec
from msgspec import UNSET

from relay.events import NOTE_TYPES, Event
from relay.tasks import reported
from relay.tasks.reported import LogReport, TaskReport

MAX_METRIC_NAMES = 256  # of one activity; beyond, another one begins
METRIC_BYTES = 200  # that a metric takes in memory, with a short name

MILESTONES = frozenset({"task_started", "task_succeeded", "task_failed", *NOTE_TYPES})


class Activity(msgspec.Struct, gc=False):
    """Successive `log` and `task_progress` events of one task.

    Where one is a `task_progress`, the first is: it may begin a task, which a `log` does not, and
    `waiting` is what the last one says. If that is true and one of them `went_on`, the wait began
    within the activity, also of a task that waited before it. `metrics` are in the order in which
    their names came first.
    """

    first_seq: int
    first_at: datetime
    first_ts: str
    last_seq: int
    last_at: datetime
    events: int
    title: str | None = None
    message: str | None = None
    progress: float | None = None
    metrics: dict[str, float] | None = None
    waiting: bool | None = None  # None: all are logs
    went_on: bool = False  # whether a `task_progress` does not wait

    @property
    def kind(self) -> str:
        """The type of event that it is folded like."""
        return "log" if self.waiting is None else "task_progress"

    @property
    def size(self) -> int:
        """About how many bytes its texts and metrics take in memory."""
        texts = len(self.title or "") + len(self.message or "")
        return texts + METRIC_BYTES * len(self.metrics or ())

    def join(self, later: "Activity") -> bool:
        """Add a later activity, if the two are one. Returns False, and changes nothing, if not."""
        if self.waiting is None and later.waiting is not None:
            return False
        if self.metrics and len(self.metrics) > MAX_METRIC_NAMES:
            return False
        self.last_seq, self.last_at = later.last_seq, later.last_at
        self.events += later.events
        self.title = later.title if later.title is not None else self.title
        self.message = later.message if later.message is not None else self.message
        self.progress = later.progress if later.progress is not None else self.progress
        self.waiting = later.waiting if later.waiting is not None else self.waiting
        self.went_on = self.went_on or later.went_on
        if later.metrics is not None:
            self.metrics = {**(self.metrics or {}), **later.metrics}
        return True


Segment = Activity | Event
"""A part of a task's history: an activity, or the event of a start, an end or an ask."""


def add_events(segments: list[Segment], events: Sequence[Event]) -> None:
    """Add a task's next events to its history."""
    for is_milestone, run in groupby(events, key=_is_milestone):
        if is_milestone:
            segments.extend(run)
            continue
        for activity in _activities(list(run)):
            last = segments[-1] if segments else None
            if not (isinstance(last, Activity) and last.join(activity)):
                segments.append(activity)


def _is_milestone(event: Event) -> bool:
    return event.event_type in MILESTONES


def _activities(events: list[Event]) -> list[Activity]:
    """One activity, or two: logs before the first `task_progress` are one of their own."""
    first = next((at for at, event in enumerate(events) if event.event_type != "log"), len(events))
    return [_activity(part) for part in (events[:first], events[first:]) if part]


def _activity(events: Sequence[Event]) -> Activity:
    first, last = events[0], events[-1]
    joined = Activity(
        *(first.seq, first.received_at, first.ts, last.seq, last.received_at, len(events))
    )
    metrics: list[dict[str, float]] = []
    for event in reversed(events):
        if event.event_type == "log":
            if joined.title is None or joined.message is None:
                _add(joined, reported.read_log(event.payload))
            continue
        report = reported.read_task(event.payload)
        _add(joined, report)
        waiting = report.waiting is True
        if joined.waiting is None:
            joined.waiting = waiting
        if not waiting:
            joined.went_on = True
        if joined.progress is None and report.progress is not UNSET:
            joined.progress = reported.read_progress(report.progress)
        if report.metrics is not UNSET:
            metrics.append(reported.read_metrics(report.metrics) or {})
    if metrics:
        joined.metrics = {}
        for numbers in reversed(metrics):
            joined.metrics.update(numbers)
    return joined


def _add(joined: Activity, report: LogReport | TaskReport) -> None:
    """Take over what is missing from the report of an earlier event."""
    if joined.title is None and report.title is not UNSET:
        joined.title = reported.read_title(report.title)
    if joined.message is None and report.message is not UNSET:
        joined.message = reported.read_message(report.message)
