"""Write log lines in a thread, because the file descriptor may block: a full pipe, a slow disk.

Logging never waits. The queue is bounded, and lines that do not fit are dropped and counted.
"""

import atexit
import logging
import os
import queue
import threading
from collections.abc import Callable

MAX_WAITING_LINES = 2_000  # lines: about a megabyte
CLOSE_TIMEOUT_SECONDS = 0.5  # seconds to write the last lines at the end of the process


class LineWriter(logging.Handler):
    """Formats in the caller's thread, writes in its own. Calls `on_lost` for each dropped line."""

    def __init__(self, descriptor: int, *, on_lost: Callable[[], None]) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._on_lost = on_lost
        self._lines: queue.Queue[bytes | None] = queue.Queue(MAX_WAITING_LINES)
        # a daemon: a write that never returns must not keep the process from ending
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record) + "\n"
            self._lines.put_nowait(line.encode("utf-8", "backslashreplace"))
        except Exception:  # the queue is full, or the line cannot be formatted
            self._on_lost()

    def close(self) -> None:
        """Write the queued lines, within `CLOSE_TIMEOUT_SECONDS`."""
        atexit.unregister(self.close)
        super().close()
        if self._thread.is_alive():
            try:
                self._lines.put(None, timeout=CLOSE_TIMEOUT_SECONDS)
            except queue.Full:
                return  # the thread is blocked, and the lines are lost
            self._thread.join(CLOSE_TIMEOUT_SECONDS)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                while line:  # one write is atomic below PIPE_BUF, 4 KiB
                    line = line[os.write(self._descriptor, line) :]
            except OSError:  # the pipe is closed, or the disk full
                self._on_lost()
