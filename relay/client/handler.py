"""A handler for Python's logging."""

import logging
from contextlib import suppress

from relay.client.reported_task import Task
from relay.client.sender import THREAD_NAME


class LogHandler(logging.Handler):
    """Sends log records as the task's log, with their level.

    It does not wait and does not raise. Records of the client itself are skipped.
    """

    def __init__(self, task: Task, level: int | str = logging.NOTSET) -> None:
        super().__init__(level)
        self._task = task

    def emit(self, record: logging.LogRecord) -> None:
        if record.threadName == THREAD_NAME or record.name == "relay.client":
            return
        try:
            self._task.log(self.format(record), level=record.levelname.lower())
        except Exception:
            with suppress(Exception):  # it prints the record, which may fail in the same way
                self.handleError(record)  # as other handlers do: prints to stderr
