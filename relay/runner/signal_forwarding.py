"""Signals to us are for the command; who sent them decides whether it has heard them already."""

import os
import signal
import threading
from collections.abc import Callable

# What people and services send to end or steer a program, and what terminals do.
PASSED_ON = (
    *(signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP),
    *(signal.SIGUSR1, signal.SIGUSR2),
)
WATCHED = (*PASSED_ON, signal.SIGWINCH, signal.SIGCONT)

Heard = Callable[[int, bool], None]


def hold_back() -> set[int]:
    """From here on signals wait for `listen`; the ones that were held back already.

    Called before there are threads, for all of them.
    """
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED))


def listen(heard: Heard) -> None:
    """Tell of each signal, and whether a process sent it rather than the kernel for a key."""

    def run() -> None:
        while True:
            heard(*_next())

    threading.Thread(target=run, name="relay-signals", daemon=True).start()


def _next() -> tuple[int, bool]:
    if hasattr(signal, "sigwaitinfo"):
        info = signal.sigwaitinfo(WATCHED)
        return info.si_signo, info.si_code <= 0
    number = signal.sigwait(WATCHED)  # macOS: a key, if there is a keyboard for us
    by_key = number in (signal.SIGINT, signal.SIGQUIT) and _in_foreground()
    return number, not by_key


def _in_foreground() -> bool:
    try:
        with open("/dev/tty", "rb") as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False
