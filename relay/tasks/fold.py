"""Folds events into the state of tasks: one table of transitions, and what each of them does.

The result does not depend on how a history is cut into batches. A `log` event is decoded only if
it may matter: the last line of a task counts, and a title wherever one may be.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import Enum, auto

from msgspec import UNSET

from relay.events import Event
from relay.tasks import reported
from relay.tasks.reported import TaskReport
from relay.tasks.task import ENDED, Task, untitled_id
from relay.tasks.times import seconds_between


class Known(Enum):
    """What is known of a task before an event."""

    NOTHING = auto()
    FORGOTTEN = auto()
    ACTIVE = auto()
    ENDED = auto()


class Effect(Enum):
    """What an event does to its task."""

    IGNORE = auto()
    TOUCH = auto()  # `last_seq`, `last_at` and `events`, nothing else
    BEGIN = auto()  # a new run
    BEGIN_AND_APPLY = auto()  # as if the task had begun with this event
    APPLY = auto()
    LOG = auto()


_ENDS = ("task_succeeded", "task_failed")

TRANSITIONS: dict[tuple[str, Known], Effect] = {
    **{("task_started", known): Effect.BEGIN for known in Known},
    **{
        (event_type, known): effect
        for event_type in ("task_progress", *_ENDS)
        for known, effect in (
            (Known.NOTHING, Effect.BEGIN_AND_APPLY),
            (Known.FORGOTTEN, Effect.TOUCH),
            (Known.ACTIVE, Effect.APPLY),
            (Known.ENDED, Effect.TOUCH),
        )
    },
    ("log", Known.NOTHING): Effect.IGNORE,
    ("log", Known.FORGOTTEN): Effect.TOUCH,
    ("log", Known.ACTIVE): Effect.LOG,
    ("log", Known.ENDED): Effect.TOUCH,
}


def task_of(event: Event) -> str | None:
    """The id of the task that an event belongs to; None for a `log` without a task."""
    if event.task_id is not None or event.event_type == "log":
        return event.task_id
    return task_of_payload(event.payload)


def task_of_payload(payload: str) -> str:
    """The id of the task of a `task_*` event without a task's id."""
    title = reported.read_task(payload).title
    return untitled_id(title if isinstance(title, str) else "")


def group_by_task(events: Iterable[Event]) -> dict[str, list[Event]]:
    """The events of each task, in their order."""
    grouped: dict[str, list[Event]] = {}
    for event in events:
        task_id = event.task_id or task_of(event)
        if task_id is not None:
            try:
                grouped[task_id].append(event)
            except KeyError:
                grouped[task_id] = [event]
    return grouped


def fold(task: Task | None, task_id: str, events: Sequence[Event]) -> Task | None:
    """Apply successive events of one task, in order; returns the task, which is changed in place.

    `task` is None while nothing is known of it, and is returned so while that stays.
    """
    logs: list[Event] = []
    for event in events:
        if event.event_type == "log":
            logs.append(event)
            continue
        if logs:
            _apply_logs(task, logs)
            logs = []
        task = _apply(task, task_id, event)
    if logs:
        _apply_logs(task, logs)
    return task


def _known(task: Task | None) -> Known:
    if task is None:
        return Known.NOTHING
    if task.forgotten:
        return Known.FORGOTTEN
    return Known.ENDED if task.state in ENDED else Known.ACTIVE


def _apply(task: Task | None, task_id: str, event: Event) -> Task | None:
    effect = TRANSITIONS[event.event_type, _known(task)]
    if task is not None and effect is Effect.TOUCH:
        _touch(task, event.seq, event.received_at, 1)
        return task
    report = reported.read_task(event.payload)
    if effect is Effect.BEGIN:
        return _begin(task, task_id, event, report)
    if task is None:
        task = _new_run(task_id, 1, event)
    else:
        _touch(task, event.seq, event.received_at, 1)
    _report(task, report)
    if event.event_type == "task_progress":
        task.state = "waiting" if report.waiting is True else "running"
    else:
        _end(task, event, report)
    return task


def _new_run(task_id: str, run: int, event: Event) -> Task:
    return Task(
        task_id=task_id,
        run=run,
        state="running",
        first_seq=event.seq,
        last_seq=event.seq,
        events=1,
        started_at=event.received_at,
        last_at=event.received_at,
        started_ts=event.ts,
    )


def _begin(task: Task | None, task_id: str, event: Event, report: TaskReport) -> Task:
    """Begin a run. Of the one before it only `title` and `parent_id` stay, unless given."""
    begun = _new_run(task_id, 1 if task is None else task.run + 1, event)
    if task is not None and not task.forgotten:
        begun.title, begun.parent_id = task.title, task.parent_id
    _report(begun, report)
    if (parent_id := reported.read_identifier(report.parent_id)) is not None:
        begun.parent_id = parent_id
    begun.url = reported.read_url(report.url)
    begun.lease_s = reported.read_lease(report.lease_s)
    begun.stoppable = report.stoppable is True
    return begun


def _touch(task: Task, seq: int, at: datetime, events: int) -> None:
    task.last_seq = seq
    task.last_at = at
    task.events += events


def _report(task: Task, report: TaskReport) -> None:
    """Take over the keys that count on every `task_*` event."""
    if report.title is not UNSET and (title := reported.read_title(report.title)) is not None:
        task.title = title
    if (
        report.message is not UNSET
        and (message := reported.read_message(report.message)) is not None
    ):
        task.message = message
    if (
        report.progress is not UNSET
        and (progress := reported.read_progress(report.progress)) is not None
    ):
        task.progress = progress
    if report.metrics is not UNSET:
        task.metrics = reported.merge_metrics(task.metrics, report.metrics)


def _end(task: Task, event: Event, report: TaskReport) -> None:
    canceled = event.event_type == "task_failed" and report.canceled is True
    task.state = (
        "succeeded"
        if event.event_type == "task_succeeded"
        else "canceled"
        if canceled
        else "failed"
    )
    task.exit_code = reported.read_integer(report.exit_code)
    task.ended_at = event.received_at
    task.duration_s = reported.read_duration(report.duration_s)
    if task.duration_s is None:
        task.duration_s = seconds_between(task.started_ts, event.ts)


def _apply_logs(task: Task | None, logs: list[Event]) -> None:
    """Apply successive `log` events of one task."""
    effect = TRANSITIONS["log", _known(task)]
    if task is None or effect is Effect.IGNORE:
        return
    last = logs[-1]
    _touch(task, last.seq, last.received_at, len(logs))
    if effect is not Effect.LOG:
        return
    title: str | None = None
    message: str | None = None
    for event in reversed(logs):
        payload = event.payload
        if title is None and ('"title"' in payload or "\\u" in payload):
            report = reported.read_log(payload)
            title = reported.read_title(report.title)
        elif message is None:
            report = reported.read_log(payload)
        else:
            continue
        if message is None:
            message = reported.read_message(report.message)
    if title is not None:
        task.title = title
    if message is not None:
        task.message = message
