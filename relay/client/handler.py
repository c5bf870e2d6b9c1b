"""Python's own logging, told to Relay."""

import logging

from relay.client.sender import THREAD
from relay.client.task import Task


class LogHandler(logging.Handler):
    """Sends records as the task's log, with their level; what comes close together goes together.

    Never waits and never raises. What the client says of itself is left out.
    """

    def __init__(self, task: Task, level: int | str = logging.NOTSET) -> None:
        super().__init__(level)
        self._task = task

    def emit(self, record: logging.LogRecord) -> None:
        if record.threadName == THREAD or record.name == "relay.client":
            return
        try:
            self._task.log(self.format(record), level=record.levelname.lower())
        except Exception:
            self.handleError(record)  # logging's own way: said on stderr, and the work goes on
