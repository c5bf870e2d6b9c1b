"""A tqdm bar that also reports the task's progress. Needs tqdm; `Task.track` does not.

from relay.client.tqdm import tqdm
"""

from typing import Any

import tqdm as original

from relay.client.payload_values import text_of
from relay.client.progress_values import part_of
from relay.client.reported_task import Task


class tqdm(original.tqdm):  # type: ignore[misc]
    """`tqdm(items, task=task)`. It reports progress each time the bar is drawn."""

    def __init__(self, *arguments: Any, task: Task | None = None, **options: Any) -> None:
        self._task = task
        super().__init__(*arguments, **options)

    def display(self, *arguments: Any, **options: Any) -> Any:
        if self._task is not None and (part := part_of(self.n, self.total)) is not None:
            words = f"{text_of(self.desc)}: " if self.desc else ""
            self._task.progress(part, f"{words}{text_of(self.n)}/{text_of(self.total)}")
        return super().display(*arguments, **options)
