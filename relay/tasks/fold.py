"""Folds events into the state of tasks: one table of transitions, and what each of them does.

The result does not depend on how a history is cut into batches.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import Enum, auto

from relay.events import NOTE_TYPES, Event
from relay.tasks import reported
from relay.tasks.reported import TaskReport
from relay.tasks.segments import Activity, Segment, add_events
from relay.tasks.task import ENDED, FoldedTask, untitled_id
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
    TOUCH = auto()  # `last_seq`, `last_at` and `events`; of a mark its open asks, too
    BEGIN = auto()  # a new run
    BEGIN_AND_APPLY = auto()  # as if the task had begun with this event
    APPLY = auto()


_ENDS = ("task_succeeded", "task_failed")
_WITHOUT_A_TASK = frozenset({"log", *NOTE_TYPES})  # unless they name one

TRANSITIONS: dict[tuple[str, Known], Effect] = {
    **{("task_started", known): Effect.BEGIN for known in Known},
    **{
        (event_type, known): effect
        for event_type in ("task_progress", "task_waiting", *_ENDS)
        for known, effect in (
            (Known.NOTHING, Effect.BEGIN_AND_APPLY),
            (Known.FORGOTTEN, Effect.TOUCH),
            (Known.ACTIVE, Effect.APPLY),
            (Known.ENDED, Effect.TOUCH),
        )
    },
    **{
        (event_type, known): effect
        for event_type in ("log", "task_answered")
        for known, effect in (
            (Known.NOTHING, Effect.IGNORE),
            (Known.FORGOTTEN, Effect.TOUCH),
            (Known.ACTIVE, Effect.APPLY),
            (Known.ENDED, Effect.TOUCH),
        )
    },
}


def task_of(event: Event) -> str | None:
    """The id of the task that an event belongs to; None for a log or an ask without a task."""
    if event.task_id is not None or event.event_type in _WITHOUT_A_TASK:
        return event.task_id
    return task_of_payload(event.payload)


def task_of_payload(payload: str) -> str:
    """The id of the task of a `task_*` event without a task's id."""
    title = reported.read_task(payload).title
    return untitled_id(title if isinstance(title, str) else "")


def add_to_tasks(tasks: dict[str, list[Segment]], events: Iterable[Event]) -> None:
    """Add events to the histories of their tasks, in order."""
    for task_id, of_task in _group_by_task(events).items():
        add_events(tasks.setdefault(task_id, []), of_task)


def _group_by_task(events: Iterable[Event]) -> dict[str, list[Event]]:
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


def fold(
    task: FoldedTask | None,
    task_id: str,
    segments: Iterable[Segment],
    withdrawn: list[str] | None = None,
) -> FoldedTask | None:
    """Apply a task's history, in order; returns the task, which is changed in place.

    `task` is None while nothing is known of it, and is returned so while that stays. The ids of
    asks that end with the task are added to `withdrawn`.
    """
    for segment in segments:
        if isinstance(segment, Activity):
            task = _apply_activity(task, task_id, segment)
            continue
        if withdrawn is not None and task is not None:
            withdrawn += _asks_to_withdraw(task, segment)
        task = _apply_milestone(task, task_id, segment)
    return task


def _asks_to_withdraw(task: FoldedTask, event: Event) -> tuple[str, ...]:
    """The asks that end by this event: those that are open when the task ends.

    An ask may be one of these although its event comes after the end: the row of an ask is older
    than its event. One that was asked after the end belongs to no run, and stays open.
    """
    if event.event_type in _ENDS:
        return task.open_asks
    if event.event_type == "task_waiting" and task.ended_at is not None:
        ask = reported.read_ask(event.payload)
        if ask is not None and ask.asked_at is not None and ask.asked_at < task.ended_at:
            return (ask.ask_id,)
    return ()


def _known(task: FoldedTask | None) -> Known:
    if task is None:
        return Known.NOTHING
    if task.forgotten:
        return Known.FORGOTTEN
    return Known.ENDED if task.state in ENDED else Known.ACTIVE


def _apply_activity(task: FoldedTask | None, task_id: str, activity: Activity) -> FoldedTask | None:
    effect = TRANSITIONS[activity.kind, _known(task)]
    if effect is Effect.IGNORE:
        return task
    if task is None:
        task = _new_run(task_id, 1, activity.first_seq, activity.first_at, activity.first_ts)
        task.events = 0
    _touch(task, activity.last_seq, activity.last_at, activity.events)
    if effect is Effect.TOUCH:
        return task
    _set_given(task, activity.title, activity.message, activity.progress)
    task.metrics = reported.merge_metrics(task.metrics, activity.metrics)
    if activity.waiting is not None:
        task.state = "waiting" if activity.waiting or task.open_asks else "running"
    return task


def _apply_milestone(task: FoldedTask | None, task_id: str, event: Event) -> FoldedTask | None:
    effect = TRANSITIONS[event.event_type, _known(task)]
    if effect is Effect.IGNORE:
        return task
    if effect is Effect.BEGIN:
        return _begin(task, task_id, event, reported.read_task(event.payload))
    if task is None:
        task = _new_run(task_id, 1, event.seq, event.received_at, event.ts)
    else:
        _touch(task, event.seq, event.received_at, 1)
    if effect is Effect.TOUCH:
        if task.forgotten and not task.ended:
            _follow_asks(task, event)
        return task
    if event.event_type in NOTE_TYPES:
        _set_asks(task, event)
    else:
        report = reported.read_task(event.payload)
        _report(task, report)
        _end(task, event, report)
    return task


def _follow_asks(mark: FoldedTask, event: Event) -> None:
    """Keep in the mark of a run which asks its end withdraws, and then that it has ended."""
    if event.event_type in NOTE_TYPES:
        _set_asks(mark, event)
    else:
        _end(mark, event, reported.read_task(event.payload))


def _set_asks(task: FoldedTask, event: Event) -> None:
    """A task waits while an ask of it is open."""
    ask = reported.read_ask(event.payload)
    if ask is None:
        return
    others = tuple(one for one in task.open_asks if one != ask.ask_id)
    task.open_asks = (*others, ask.ask_id) if event.event_type == "task_waiting" else others
    task.state = "waiting" if task.open_asks else "running"


def _new_run(task_id: str, run: int, seq: int, at: datetime, ts: str) -> FoldedTask:
    return FoldedTask(
        task_id=task_id,
        run=run,
        state="running",
        first_seq=seq,
        last_seq=seq,
        events=1,
        started_at=at,
        last_at=at,
        started_ts=ts,
    )


def _begin(task: FoldedTask | None, task_id: str, event: Event, report: TaskReport) -> FoldedTask:
    """Begin a run. Of the one before it only `title` and `parent_id` stay, unless given.

    Its open asks go over to the new run: it runs by its start, and waits for them again from its
    first progress on.
    """
    run = 1 if task is None else task.run + 1
    begun = _new_run(task_id, run, event.seq, event.received_at, event.ts)
    if task is not None:
        begun.open_asks = task.open_asks
        if not task.forgotten:
            begun.title, begun.parent_id = task.title, task.parent_id
    _report(begun, report)
    if (parent_id := reported.read_identifier(report.parent_id)) is not None:
        begun.parent_id = parent_id
    begun.url = reported.read_url(report.url)
    begun.lease_s = reported.read_lease(report.lease_s)
    begun.stoppable = report.stoppable is True
    return begun


def _touch(task: FoldedTask, seq: int, at: datetime, events: int) -> None:
    task.last_seq = seq
    task.last_at = at
    task.events += events


def _report(task: FoldedTask, report: TaskReport) -> None:
    """Take over the keys that count on every `task_*` event."""
    _set_given(
        task,
        reported.read_title(report.title),
        reported.read_message(report.message),
        reported.read_progress(report.progress),
    )
    task.metrics = reported.merge_metrics(task.metrics, reported.read_metrics(report.metrics))


def _set_given(
    task: FoldedTask, title: str | None, message: str | None, progress: float | None
) -> None:
    if title is not None:
        task.title = title
    if message is not None:
        task.message = message
    if progress is not None:
        task.progress = progress


def _end(task: FoldedTask, event: Event, report: TaskReport) -> None:
    canceled = event.event_type == "task_failed" and report.canceled is True
    task.state = (
        "succeeded"
        if event.event_type == "task_succeeded"
        else "canceled"
        if canceled
        else "failed"
    )
    task.open_asks = ()  # they are withdrawn
    task.exit_code = reported.read_integer(report.exit_code)
    task.ended_at = event.received_at
    task.duration_s = reported.read_duration(report.duration_s)
    if task.duration_s is None:
        task.duration_s = seconds_between(task.started_ts, event.ts)
