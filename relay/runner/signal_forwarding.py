"""Signals to the runner are meant for the command. This module receives and sends them."""

import os
import signal
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

# What people and services send to end or steer a program, and what terminals send.
FORWARDED = (
    *(signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP),
    *(signal.SIGUSR1, signal.SIGUSR2),
)
RECEIVED = (*FORWARDED, signal.SIGWINCH, signal.SIGCONT)

OnSignal = Callable[[int, bool], None]


def block_signals() -> frozenset[int]:
    """Block what `receive_signals` receives; returns the signals that were blocked before.

    Call it before there are threads: it holds for all of them.
    """
    return frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, RECEIVED))


def receive_signals(on_signal: OnSignal) -> None:
    """Call `on_signal` in a thread for each signal, with its number and whether a process sent it.

    The kernel sends the signal of a key.
    """

    def run() -> None:
        while True:
            on_signal(*_next_signal())

    threading.Thread(target=run, name="relay-signals", daemon=True).start()


def block_stop_key() -> None:
    """Block SIGTSTP, in threads that start from here on too.

    A key pressed before the runner stops and continues with the command would stop it alone.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})


def unblock_stop_key(blocked: Iterable[int]) -> None:
    """Unblock SIGTSTP in the calling thread, unless it was among the signals `blocked` before."""
    if signal.SIGTSTP not in blocked:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})


def send_signal(process: int, number: int) -> None:
    """Send it, if the process still is and may be sent one."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(process, number)


def send_group_signal(group: int, number: int) -> None:
    """Send it to a process group, if there is one that may be sent it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _next_signal() -> tuple[int, bool]:
    if hasattr(signal, "sigwaitinfo"):
        info = signal.sigwaitinfo(RECEIVED)
        return info.si_signo, info.si_code <= 0
    number = signal.sigwait(RECEIVED)  # macOS: a key's, if the runner has the keyboard
    by_key = number in (signal.SIGINT, signal.SIGQUIT) and _in_foreground()
    return number, not by_key


def _in_foreground() -> bool:
    try:
        with open("/dev/tty", "rb") as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False
