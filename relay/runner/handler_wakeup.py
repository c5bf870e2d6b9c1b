"""A wait of the main thread that the handlers of signals interrupt, whenever the signal comes."""

import os
import select
import signal

_SIZE = 4_096  # bytes read at once: there is one for each signal


class HandlerWakeup:
    """Waits for a file and for signals that have a handler.

    Python runs a handler between two instructions of the main thread. A signal that comes after
    the last one before a blocking read does not interrupt that read: the handler would run only
    when the read returns. Here each such signal also makes a pipe readable.
    """

    def __init__(self) -> None:
        """Call it in the main thread."""
        self._readable, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def wait_for(self, fd: int) -> None:
        """Wait in the main thread until this descriptor is readable. Handlers run meanwhile."""
        while fd not in select.select([fd, self._readable], [], [])[0]:
            os.read(self._readable, _SIZE)

    def close(self) -> None:
        """Wait for signals no more."""
        signal.set_wakeup_fd(self._before)
        os.close(self._readable)
        os.close(self._write)
