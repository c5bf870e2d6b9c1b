"""What happens to a task that a person may want to hear of: an end, or a wait.

A wait for an ask is not among them: an ask is noted where it is opened, with a task or without one.
A task that is lost is noted where its lease is seen to have run out.
"""

from collections.abc import Iterable
from typing import NamedTuple

from relay.tasks.fold import fold
from relay.tasks.segments import Segment
from relay.tasks.task import ENDED, Task


class Transition(NamedTuple):
    """A change of a task: to `failed`, `succeeded`, `canceled`, or to `waiting` without an ask."""

    type: str
    task_id: str
    run: int
    title: str | None
    message: str | None
    exit_code: int | None
    duration_s: float | None


def fold_noting(
    task: Task | None,
    task_id: str,
    segments: Iterable[Segment],
    withdrawn: list[str],
    noted: list[Transition],
) -> Task | None:
    """Like `fold`, and adds the task's transitions to `noted`: also those of runs that are over."""
    for segment in segments:
        state, run = (None, 0) if task is None else (task.state, task.run)
        task = fold(task, task_id, [segment], withdrawn)
        if task is not None and not task.forgotten:
            noted += _between(state, run, task)
    return task


def _between(state: str | None, run: int, task: Task) -> Iterable[Transition]:
    """The transition from a state of a run to the present one, if it is one."""
    if (state, run) == (task.state, task.run):
        return
    if task.state in ENDED or (task.state == "waiting" and not task.open_asks):
        yield _transition(task)


def _transition(task: Task) -> Transition:
    duration = task.duration_s
    if duration is None and task.ended_at is not None:
        duration = max((task.ended_at - task.started_at).total_seconds(), 0.0)
    return Transition(
        type=task.state,
        task_id=task.task_id,
        run=task.run,
        title=task.title,
        message=task.message,
        exit_code=task.exit_code,
        duration_s=duration,
    )
