"""The process between us and the command: it starts it, and knows of it what we could not.

In a terminal it leads the command's session, as a shell would: a command that led it itself could
not be stopped by a key. Without one it stands in our process group beside the command, and hears
what the command hears: a signal for all of the group need not be passed on.
"""

import errno
import os
import shutil
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple, NoReturn

from relay.runner.terminal import Terminal

STARTED, FAILED, STOPPED, HEARD, ENDED = "started", "failed", "stopped", "heard", "ended"
ANSWERED = "answered"  # everything heard before the question has been reported
STOPPED_US, WENT_ON = "stopped-us", "went-on"  # the answers to `stop_us`

# ours to the keeper; nobody else sends it one
_QUESTION = signal.SIGALRM
_STOP_US = signal.SIGVTALRM
_CONTINUE = signal.SIGPROF

# Python ignores these for itself; a command expects them as they were.
_PYTHONS_OWN = (signal.SIGPIPE, signal.SIGXFSZ)


class Report(NamedTuple):
    """What happened, and its number: a process, an errno, a signal or a wait status."""

    what: str
    number: int


class Keeper:
    """Our side of it: reports, read until the command has ended."""

    def __init__(
        self,
        command: Sequence[str],
        files: Sequence[int],
        terminal: Terminal | None,
        *,
        witnessed: Iterable[signal.Signals],
        mask: Iterable[int],
        ours: Iterable[int],
    ) -> None:
        """Fork. There must be no other thread yet.

        `files` are the command's stdin, stdout and stderr; `witnessed` the signals to report where
        there is no terminal; `mask` is what the command finds blocked; `ours` are the files that
        the keeper must not hold open.
        """
        reports, write = os.pipe()
        held, self._hold = os.pipe()
        us = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                for fd in (reports, self._hold):
                    os.close(fd)
                keeping = _Keeping(command, files, terminal, write, frozenset(mask), us)
                keeping.start(ours)
                keeping.keep(frozenset() if terminal else frozenset(witnessed))
                os.read(held, 1)  # until we are let go: our end is the end of the session
            finally:
                os._exit(0)
        os.close(write)
        os.close(held)
        self._reports = os.fdopen(reports, "rb")

    def reports(self) -> Iterator[Report]:
        """Until the command's end, or the keeper's own."""
        for line in self._reports:
            what, _, number = line.decode().partition(" ")
            yield Report(what, int(number))

    def ask(self) -> None:
        """Have it report ANSWERED, after all that it has heard by now."""
        os.kill(self._pid, _QUESTION)

    def stop_us(self) -> None:
        """Have it stop us, unless the command goes on already; it reports which.

        The keeper does both, stop us and let us go on, so that they come in the order in which the
        command stopped and went on.
        """
        os.kill(self._pid, _STOP_US)

    def continue_command(self) -> None:
        """Have it continue the command, if that is stopped.

        The keeper knows, and may: one of the command's own session may continue another user's
        process, as a shell may.
        """
        os.kill(self._pid, _CONTINUE)

    def release(self) -> None:
        """Let it end; what it spent, and the command did, is counted as ours."""
        os.close(self._hold)
        self._reports.close()
        os.waitpid(self._pid, 0)


class _Keeping:
    """The keeper's side, in its own process."""

    def __init__(
        self,
        command: Sequence[str],
        files: Sequence[int],
        terminal: Terminal | None,
        write: int,
        mask: frozenset[int],
        us: int,
    ) -> None:
        self._command = command
        self._files = files
        self._terminal = terminal
        self._write = write
        self._mask = mask
        self._us = us
        self._group = os.getpgrp()  # ours, too; the keeper may leave it
        self._pid = 0
        self._stopped_by = 0  # the signal that stopped the command; 0 while it runs
        self._stopped_us = False  # and we are to go on when it does

    def start(self, ours: Iterable[int]) -> None:
        """Start the command, and hold none of its files open."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        if self._terminal is not None:
            os.setsid()
            self._terminal.make_controlling()
            # when our terminal is gone, so is the session, and the command hears of it
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        failing, failed = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                self._become()
            except OSError as error:
                os.write(failed, b"%d" % (error.errno or errno.ENOENT))
            finally:
                os._exit(127)
        os.close(failed)
        inside = None if self._terminal is None else self._terminal.inside
        for fd in ours:
            if fd != inside:
                os.close(fd)
        nothing = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(nothing, fd)
        if number := os.read(failing, 16):
            os.waitpid(self._pid, 0)
            self._tell(FAILED, int(number))
            os._exit(0)
        self._tell(STARTED, self._pid)

    def _become(self) -> NoReturn:
        """In the command's own process: be it."""
        if self._terminal is not None:
            os.setpgid(0, 0)
            self._terminal.bring_to_front(os.getpid())
        for fd, file in enumerate(self._files):
            os.dup2(file, fd)
            os.set_inheritable(fd, True)
        for number in _PYTHONS_OWN:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        try:
            os.execvp(self._command[0], list(self._command))
        except OSError as error:
            # a script that does not say whose it is: shells run it themselves
            path = shutil.which(self._command[0])
            if error.errno != errno.ENOEXEC or path is None:
                raise
            os.execv("/bin/sh", ["sh", path, *self._command[1:]])

    def keep(self, witnessed: frozenset[int]) -> None:
        """Report what happens, until the command has ended."""
        while True:
            number = signal.sigwait({signal.SIGCHLD, _QUESTION, _STOP_US, _CONTINUE, *witnessed})
            if number in witnessed:
                self._tell(HEARD, number)
            elif number == _QUESTION:
                while pending := signal.sigpending() & witnessed:
                    self._tell(HEARD, signal.sigwait(pending))
                self._tell(ANSWERED, 0)
            elif self._look():
                return
            elif number == _STOP_US:
                self._stop_us()
            elif number == _CONTINUE and self._stopped_by:
                self._continue_command()

    def _look(self) -> bool:
        """Report what became of the command; whether it has ended."""
        options = os.WNOHANG | (os.WUNTRACED | os.WCONTINUED if self._terminal else 0)
        while True:
            pid, status = os.waitpid(self._pid, options)
            if not pid:
                return False
            if os.WIFSTOPPED(status):
                self._stopped_by = os.WSTOPSIG(status)
                self._tell(STOPPED, self._stopped_by)
                continue
            self._stopped_by = 0
            if self._stopped_us:  # continued or killed by others: we stop no longer than it does
                self._stopped_us = False
                os.kill(self._us, signal.SIGCONT)
            if not os.WIFCONTINUED(status):
                self._end(status)
                return True

    def _stop_us(self) -> None:
        if not self._stopped_by:
            self._tell(WENT_ON, 0)
            return
        self._stopped_us = True
        if self._stopped_by == signal.SIGSTOP:
            os.kill(self._us, signal.SIGSTOP)
        else:
            os.killpg(self._group, signal.SIGTSTP)
        self._tell(STOPPED_US, 0)

    def _continue_command(self) -> None:
        """We go on: so does it, and all that a key would have stopped with it."""
        assert self._terminal is not None
        self._stopped_us = False
        group = os.getpgid(self._pid)
        with suppress(OSError):
            front = os.tcgetpgrp(self._terminal.inside)
            os.killpg(front, signal.SIGCONT)
            if front == group:
                return  # it has heard it by that
        with suppress(OSError):
            os.kill(self._pid, signal.SIGCONT)

    def _end(self, status: int) -> None:
        """Whoever is left in the background is not to be hung up by the end of the session."""
        if self._terminal is not None:
            self._terminal.bring_to_front(os.getpgrp())
            os.close(self._terminal.inside)
        self._tell(ENDED, status)

    def _tell(self, what: str, number: int) -> None:
        os.write(self._write, f"{what} {number}\n".encode())
