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
from typing import NamedTuple, NoReturn

from relay.wrapped.terminal import Terminal

STARTED, FAILED, STOPPED, HEARD, ENDED = "started", "failed", "stopped", "heard", "ended"
ANSWERED = "answered"  # everything heard before the question has been reported

_QUESTION = signal.SIGALRM  # ours to the keeper; nobody else sends it one

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
        self._pid = os.fork()
        if self._pid == 0:
            try:
                for fd in (reports, self._hold):
                    os.close(fd)
                keeping = _Keeping(command, files, terminal, write, frozenset(mask))
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
    ) -> None:
        self._command = command
        self._files = files
        self._terminal = terminal
        self._write = write
        self._mask = mask
        self._pid = 0

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
        options = os.WNOHANG | (os.WUNTRACED | os.WCONTINUED if self._terminal else 0)
        while True:
            number = signal.sigwait({signal.SIGCHLD, _QUESTION, *witnessed})
            if number == _QUESTION:
                while pending := signal.sigpending() & witnessed:
                    self._tell(HEARD, signal.sigwait(pending))
                self._tell(ANSWERED, 0)
                continue
            if number != signal.SIGCHLD:
                self._tell(HEARD, number)
                continue
            while True:
                pid, status = os.waitpid(self._pid, options)
                if not pid:
                    break
                if os.WIFSTOPPED(status):
                    self._tell(STOPPED, os.WSTOPSIG(status))
                elif os.WIFCONTINUED(status):
                    os.kill(os.getppid(), signal.SIGCONT)  # we stop together and go on together
                else:
                    self._end(status)
                    return

    def _end(self, status: int) -> None:
        """Whoever is left in the background is not to be hung up by the end of the session."""
        if self._terminal is not None:
            self._terminal.bring_to_front(os.getpgrp())
            os.close(self._terminal.inside)
        self._tell(ENDED, status)

    def _tell(self, what: str, number: int) -> None:
        os.write(self._write, f"{what} {number}\n".encode())
