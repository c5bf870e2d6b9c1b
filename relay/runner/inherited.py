"""What a process got at its start: kept for the command where the runner needs another value."""

import os
import resource
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

# Python ignores these at its own start, and what they were before cannot be read any more.
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
# Python sets this variable where the locale is C (PEP 538).
_SET_BY_PYTHON = "LC_CTYPE"
# Open files that the runner and its client need beside the command's, with some to spare.
_OPEN_FILES = 256
_ENVIRONMENT_AT_START = Path("/proc/self/environ")


# Timers that a process keeps when it becomes another program, and that no child gets.
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_AT_ONCE = 1e-6  # seconds; 0 would turn the timer off


class Timer(NamedTuple):
    """A timer that sends its process a signal, such as `alarm`."""

    kind: int
    left: float  # seconds
    interval: float  # seconds from each signal to the next; 0: there is one
    read_at: float  # monotonic seconds

    def set(self) -> None:
        """Set it in this process, as if it had run on: ITIMER_REAL counts time, not use."""
        passed = time.monotonic() - self.read_at if self.kind == signal.ITIMER_REAL else 0.0
        signal.setitimer(self.kind, max(self.left - passed, _AT_ONCE), self.interval)


class Inherited(NamedTuple):
    """State that a program passes on to the next one, as it was when the runner started."""

    ignored: frozenset[int]  # signals
    blocked: frozenset[int]  # signals
    open_files: tuple[int, int]  # RLIMIT_NOFILE, soft and hard
    timers: tuple[Timer, ...]  # that run

    @classmethod
    def read(cls) -> "Inherited":
        """Read it. Call it before the runner changes any of it."""
        ignored = {
            number
            for number in signal.valid_signals()
            if signal.getsignal(number) is signal.SIG_IGN
        }
        return cls(
            frozenset(ignored.difference(_IGNORED_BY_PYTHON)),
            frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
            resource.getrlimit(resource.RLIMIT_NOFILE),
            tuple(timer for timer in map(_read_timer, _TIMERS) if timer.left),
        )

    def take_over(self) -> None:
        """Give the runner what it needs itself.

        A process that ignores SIGCHLD cannot wait for its children. The limit of open files is
        raised as far as the hard limit permits. Timers are the command's.
        """
        for timer in self.timers:
            signal.setitimer(timer.kind, 0)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        soft, hard = self.open_files
        wanted = min(limit for limit in (_OPEN_FILES, hard) if limit != resource.RLIM_INFINITY)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            with suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

    def give_back(self) -> None:
        """Restore all of it, in the process that becomes the command."""
        if _set_by_python():
            del os.environ[_SET_BY_PYTHON]
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, self.open_files)
        for changed in (*_IGNORED_BY_PYTHON, signal.SIGCHLD):
            signal.signal(changed, signal.SIG_DFL)
        for number in self.ignored:
            signal.signal(number, signal.SIG_IGN)
        for timer in self.timers:
            timer.set()
        signal.pthread_sigmask(signal.SIG_SETMASK, self.blocked)


def _read_timer(kind: int) -> Timer:
    left, interval = signal.getitimer(kind)
    return Timer(kind, left, interval, time.monotonic())


def _set_by_python() -> bool:
    """Whether the variable was not in the environment of this process's own start."""
    try:
        entries = _ENVIRONMENT_AT_START.read_bytes().split(b"\0")
    except OSError:
        return False
    name = _SET_BY_PYTHON.encode() + b"="
    return _SET_BY_PYTHON in os.environ and not any(entry.startswith(name) for entry in entries)
