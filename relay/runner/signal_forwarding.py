"""Receives the signals that are sent to the runner and meant for the command, and sends signals."""

import os
import signal
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

# Signals that users, service managers and terminals send to end or control a program.
FORWARDED = (
    *(signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP),
    *(signal.SIGUSR1, signal.SIGUSR2),
)
RECEIVED = (*FORWARDED, signal.SIGWINCH, signal.SIGCONT)

OnSignal = Callable[[int, bool], None]


def block_signals() -> None:
    """Block what `receive_signals` receives.

    Call it before there are threads: it holds for all of them.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, RECEIVED)


def receive_signals(on_signal: OnSignal) -> None:
    """Call `on_signal` in a thread for each signal, with its number and whether a process sent it.

    The kernel sends the signal of a key.
    """

    def run() -> None:
        while True:
            on_signal(*_next_signal())

    threading.Thread(target=run, name="relay-signals", daemon=True).start()


def block_stop_signals() -> None:
    """Block SIGTSTP and SIGTTIN, in threads that start from here on too.

    A key pressed before the runner stops and continues with the command would stop it alone. A
    SIGTTIN is about keys that the command reads; the runner's own reads in the background fail.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP, signal.SIGTTIN})


def unblock_stop_key(blocked: Iterable[int]) -> None:
    """Unblock SIGTSTP in the calling thread, unless it was among the signals `blocked` before."""
    if signal.SIGTSTP not in blocked:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})


def send_signal(process: int, number: int) -> None:
    """Send a signal, if the process still exists and permits it."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(process, number)


def send_group_signal(group: int, number: int) -> None:
    """Send a signal to a process group, if it still exists and permits it."""
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
