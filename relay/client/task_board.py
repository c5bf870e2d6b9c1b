"""The tasks of a user, kept up to date by a stream that has them."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from relay.client.stream_messages import StreamMessage, TaskControl, TasksControl
from relay.client.task_info import TaskInfo

MAX_TASKS = 1_200  # the most that a stream begins with; beyond, an ended one is dropped


class TaskChange(msgspec.Struct, frozen=True):
    """A task that is new or has changed, with its JSON `fields`; None if it was deleted."""

    task_id: str
    task: TaskInfo | None
    fields: dict[str, Any]


class TaskBoard:
    """The tasks of a stream: `tasks` by id, those that changed last come last.

    `counts` are those of the stream's beginning, by state. `is_known` is whether there was one.
    """

    def __init__(self) -> None:
        self.tasks: dict[str, TaskInfo] = {}
        self.counts: dict[str, int] = {}
        self.is_known = False
        self._parts: list[tuple[TaskInfo, dict[str, Any]]] = []  # of a snapshot that goes on

    def apply(self, messages: Iterable[StreamMessage]) -> list[TaskChange]:
        """Take over what messages say of tasks; returns what has changed, in this order."""
        return [change for one in messages for change in self._changes(one)]

    def _changes(self, message: StreamMessage) -> Iterator[TaskChange]:
        if message.control == "hello":
            self._parts = []  # of a connection that was lost in between
        elif message.control == "tasks":
            yield from self._add_part(message)
        elif message.control == "task":
            yield from self._change(message)

    def _add_part(self, message: StreamMessage) -> Iterator[TaskChange]:
        part = msgspec.convert(message.fields, TasksControl)
        self._parts += zip(part.tasks, message.fields["tasks"], strict=True)
        if part.more:
            return
        before, latest_last = self.tasks, self._parts[::-1]
        self.tasks = {task.task_id: task for task, _fields in latest_last}
        self._parts, self.counts, self.is_known = [], part.counts, True
        for task, fields in latest_last:
            if before.get(task.task_id) != task:
                yield TaskChange(task.task_id, task, fields)

    def _change(self, message: StreamMessage) -> Iterator[TaskChange]:
        change = msgspec.convert(message.fields, TaskControl)
        if (task := change.task) is not None:
            self.tasks.pop(task.task_id, None)
            self.tasks[task.task_id] = task
            yield TaskChange(task.task_id, task, message.fields["task"])
            if len(self.tasks) > MAX_TASKS:
                self._drop_one()
        elif change.deleted and change.task_id is not None:
            self.tasks.pop(change.task_id, None)
            yield TaskChange(change.task_id, None, {"task_id": change.task_id, "deleted": True})

    def _drop_one(self) -> None:
        """Drop the ended task whose last event is the oldest, or else the oldest of all."""
        ended = (task.task_id for task in self.tasks.values() if task.ended)
        del self.tasks[next(ended, next(iter(self.tasks)))]
