"""Lines on their way to a file descriptor that may block: a pipe nobody reads, a slow disk.

Whoever logs never waits for it. A thread writes; what it has not written yet is bounded, and
what finds no room is dropped and counted.
"""

import atexit
import logging
import os
import queue
import threading
from collections.abc import Callable

WAITING = 2_000  # lines: about a megabyte
PARTING = 0.5  # seconds for the last lines at the end of the process


class LineWriter(logging.Handler):
    """Formats in the caller's thread, writes in its own. `on_lost` hears of each line dropped."""

    def __init__(self, descriptor: int, *, on_lost: Callable[[], None]) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._on_lost = on_lost
        self._lines: queue.Queue[bytes | None] = queue.Queue(WAITING)
        # a daemon: a write that never returns must not keep the process from ending
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record) + "\n"
            self._lines.put_nowait(line.encode("utf-8", "backslashreplace"))
        except Exception:  # no room, or a line that cannot be rendered
            self._on_lost()

    def close(self) -> None:
        """Write what waits, for a moment at most."""
        atexit.unregister(self.close)
        super().close()
        if self._thread.is_alive():
            try:
                self._lines.put(None, timeout=PARTING)
            except queue.Full:
                return  # nobody reads: there is nobody to tell
            self._thread.join(PARTING)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                while line:  # in one piece while it is below PIPE_BUF, 4 KiB
                    line = line[os.write(self._descriptor, line) :]
            except OSError:  # the reader is gone, the disk is full
                self._on_lost()
