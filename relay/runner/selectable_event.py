"""An event that `select` can wait for, beside files."""

import os
import threading


class SelectableEvent:
    """Like threading.Event, with a descriptor that is readable while the event is set."""

    def __init__(self) -> None:
        self._set = threading.Event()
        self._changing = threading.Lock()
        self.readable, self._write = os.pipe()

    @property
    def descriptors(self) -> tuple[int, int]:
        """Both ends of its pipe, for a process that closes them."""
        return self.readable, self._write

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._set.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait so long at most; returns whether it is set."""
        return self._set.wait(seconds)

    def set(self) -> None:
        """Set it; `readable` is readable then."""
        with self._changing:
            if not self._set.is_set():
                self._set.set()
                os.write(self._write, b".")

    def clear(self) -> None:
        """Undo `set`."""
        with self._changing:
            if self._set.is_set():
                self._set.clear()
                os.read(self.readable, 1)
