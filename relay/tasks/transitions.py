"""What happens to a task that a person may want to hear of: an end, or a wait.

A task that is lost has no event for it, so it is noted where its lease is seen to have run out.
"""

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from relay.events import Event, parse_uuid
from relay.tasks.fold import fold
from relay.tasks.reported import read_ask
from relay.tasks.segments import Activity, Segment
from relay.tasks.task import ENDED, FoldedTask


class Transition(NamedTuple):
    """What became of a task: `failed`, `succeeded`, `canceled`, or `waiting`, maybe for an ask."""

    state: str
    task_id: str
    run: int
    title: str | None
    message: str | None
    exit_code: int | None
    duration_s: float | None
    ask_id: UUID | None = None


def fold_noting(
    task: FoldedTask | None,
    task_id: str,
    segments: Iterable[Segment],
    withdrawn: list[str],
    noted: list[Transition],
) -> FoldedTask | None:
    """Like `fold`, and adds the task's transitions to `noted`: also those of runs that are over.

    A wait without an ask that is over before the next start, end or ask in `segments` may be left
    out. However a history is cut, the others are noted, once each.

    An ask is one whatever its task is: it waits for a person also after the end of the run.
    """
    for segment in segments:
        state, run = (None, 0) if task is None else (task.state, task.run)
        task = fold(task, task_id, [segment], withdrawn)
        if task is None:
            continue
        if isinstance(segment, Event) and segment.event_type == "task_waiting":
            ask = read_ask(segment.payload)
            if ask is not None and (ask_id := parse_uuid(ask.ask_id)) is not None:
                noted.append(_waiting_for(task, ask_id))
        elif _is_transition(state, run, segment, task):
            noted.append(_transition(task))
    return task


def _is_transition(state: str | None, run: int, segment: Segment, task: FoldedTask) -> bool:
    """Whether a task came to an end, or to a wait without an ask, from this state of this run.

    A task that waited before an activity, went on in it and waits after it, waits anew.
    """
    if task.forgotten:
        return False
    is_changed = (state, run) != (task.state, task.run)
    if task.state == "waiting" and not task.open_asks:
        return is_changed or (isinstance(segment, Activity) and segment.went_on)
    return is_changed and task.state in ENDED


def _waiting_for(task: FoldedTask, ask_id: UUID) -> Transition:
    return Transition("waiting", task.task_id, task.run, task.title, None, None, None, ask_id)


def _transition(task: FoldedTask) -> Transition:
    duration = task.duration_s
    if duration is None and task.ended_at is not None:
        duration = max((task.ended_at - task.started_at).total_seconds(), 0.0)
    return Transition(
        state=task.state,
        task_id=task.task_id,
        run=task.run,
        title=task.title,
        message=task.message,
        exit_code=task.exit_code,
        duration_s=duration,
    )
