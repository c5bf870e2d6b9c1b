"""The command itself: started with what we were started with, its output passed on untouched."""

import errno
import fcntl
import os
import select
import signal
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from relay.runner import session_leader
from relay.runner.group_signals import Witness
from relay.runner.session_leader import Keeper, Report
from relay.runner.terminal import Terminal

# Bytes that a pipe holds, and we take at once: the fewer turns, the less a flood waits for us.
BLOCK = 2**20
LINGER = 0.2  # seconds of silence after the command's end, when others still hold its output
LOOK = 0.5  # seconds; nobody tells a job in the background that it is in the foreground now

STDIN, STDOUT, STDERR = 0, 1, 2

Feed = Callable[[str, bytes], None]


def fill_standard_files() -> None:
    """Where one of the three is closed, what we open next would take its place: nothing does."""
    for fd in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one


class CannotStart(Exception):
    """There is no such command, or it may not be run; `exit_code` is what shells give then."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Child:
    """A running command. A terminal where we have one; pipes, kept apart, where we have not."""

    def __init__(
        self,
        command: Sequence[str],
        feed: Feed,
        passed_on: Iterable[signal.Signals],
        mask: Iterable[int],
    ) -> None:
        """Start it. `passed_on`: signals we are sent for it; `mask`: those it finds blocked.

        Raises CannotStart.
        """
        # A key that stopped us before `run` heeds it would stop us alone. Blocked in all threads
        # that are started from here on: the main thread alone takes it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})
        self._stop_was_blocked = signal.SIGTSTP in set(mask)
        self._feed = feed
        self._ended = threading.Event()
        self._woken, self._waker = os.pipe()
        terminals = [fd for fd in (STDOUT, STDERR, STDIN) if _is_terminal(fd)]
        typed = STDIN if STDIN in terminals else None
        self.terminal = Terminal(terminals[0], typed) if terminals else None
        self._witness = Witness()
        # whether we stop when the command does; where the key is ignored, nobody expects us to
        ignored = signal.getsignal(signal.SIGTSTP) is signal.SIG_IGN
        self._stops_with_it = self.terminal is not None and not ignored
        self._stopping = threading.Lock()  # held from the command's stop until both go on
        self._pumps: list[threading.Thread] = []
        ours = [self._woken, self._waker]
        theirs: list[int] = []

        def output(fd: int, name: str) -> int:
            if self.terminal is not None and fd in terminals:
                return self.terminal.inside
            read, write = os.pipe()
            if hasattr(fcntl, "F_SETPIPE_SZ"):
                with suppress(OSError):  # a user may have so many large ones
                    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, BLOCK)
            ours.append(read)
            theirs.append(write)
            self._pump(read, fd, name)
            return write

        stdout = output(STDOUT, "stdout")
        # one file for both keeps them in order, as it does without us
        stderr = stdout if _same(STDOUT, STDERR) else output(STDERR, "stderr")
        stdin = STDIN
        if self.terminal is not None:
            ours.append(self.terminal.master)
            theirs.append(self.terminal.inside)
            self._pump(self.terminal.master, terminals[0], _name(terminals[0]))
            stdin = STDIN if typed is None else self.terminal.inside
            # before it can ask: programs remember how they found their terminal
            self.terminal.enter()
        files = (stdin, stdout, stderr)
        self._keeper = Keeper(
            command, files, self.terminal, witnessed=passed_on, mask=mask, ours=[*ours, *theirs]
        )
        for fd in theirs:
            os.close(fd)
        self._reports = self._keeper.reports()
        started = next(self._reports, Report(session_leader.FAILED, errno.ECHILD))
        if started.what == session_leader.FAILED:
            if self.terminal is not None:
                self.terminal.leave()
            self._take_stops()
            if started.number == errno.ENOENT:
                raise CannotStart(f"{command[0]}: command not found", 127)
            raise CannotStart(f"{command[0]}: {os.strerror(started.number)}", 126)
        self._pid = started.number

    def run(self) -> int:
        """Pass everything on until it has ended; what a shell would give as its exit code."""
        for pump in self._pumps:
            pump.start()
        if self.terminal is not None:
            threading.Thread(target=self._pass_keys, daemon=True).start()
        alone = signal.getsignal(signal.SIGTSTP)
        if self._stops_with_it:
            signal.signal(signal.SIGTSTP, lambda *_: self._signal_job(signal.SIGTSTP))
        self._take_stops()
        try:
            code = self._watch()
            self._ended.set()
            self._witness.go()
            os.write(self._waker, b".")
            for pump in self._pumps:
                pump.join()
        finally:
            if self.terminal is not None:
                self.terminal.leave()
            signal.signal(signal.SIGTSTP, alone)
        self._keeper.release()
        return code if code >= 0 else 128 - code

    @property
    def running(self) -> bool:
        return not self._ended.is_set()

    def _take_stops(self) -> None:
        if not self._stop_was_blocked:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})

    def signal(self, number: int, from_process: bool) -> None:
        """Pass a signal on that we were sent, unless the command has got it already."""
        if self.terminal is None:
            if not self._witness.heard(number, self._keeper.ask):
                self._signal_command(number)
        elif from_process and number != signal.SIGHUP:
            self._signal_command(number)
        else:
            # a key of ours, or our terminal is gone: the command's terminal is another one
            self._signal_job(number)

    def go_on(self) -> None:
        """We were told to go on.

        Where the command stops with us, `_stop` lets it go on. Not here: this may come late, and
        the next key may have stopped the command again by then.
        """
        if self.terminal is not None:
            with self._stopping:
                self._to_the_front()
            if not self._stops_with_it:
                self._keeper.continue_command()

    def _to_the_front(self) -> None:
        assert self.terminal is not None
        self.terminal.resize()
        self.terminal.enter()

    def _signal_command(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(self._pid, number)

    def _signal_job(self, number: int) -> None:
        """All that a key would reach, typed in the command's terminal."""
        if self.terminal is not None and (group := self.terminal.foreground()):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, number)

    def _watch(self) -> int:
        """Heed what the keeper reports; the command's end, negative for a signal's number."""
        for what, number in self._reports:
            if what == session_leader.STOPPED and self._stops_with_it:
                with self._stopping:
                    what, number = self._stop()
            if what == session_leader.HEARD:
                self._witness.hear(number)
            elif what == session_leader.ANSWERED:
                self._witness.answer()
            elif what == session_leader.ENDED:
                return os.waitstatus_to_exitcode(number)
        return -signal.SIGKILL  # only that ends a keeper early

    def _stop(self) -> Report:
        """The command is stopped: so are we, and whoever asked for it has the terminal.

        The keeper's answer, or the command's end.
        """
        assert self.terminal is not None
        self.terminal.leave()
        # The keeper's SIGTSTP waits until we have heard what became of the command, and a key
        # pressed meanwhile is one with it: else that one would stop us twice.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})
        heeded = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        self._keeper.stop_us()
        others = (report for report in self._reports if report.what != session_leader.STOPPED)
        answer = next(others, Report(session_leader.ENDED, signal.SIGKILL))
        if answer.what == session_leader.STOPPED_US:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})
            # here again when somebody lets us go on; at once where nobody could
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})
        signal.signal(signal.SIGTSTP, heeded)
        self._to_the_front()
        if answer.what == session_leader.STOPPED_US:
            self._keeper.continue_command()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return answer

    def _pump(self, source: int, target: int, name: str) -> None:
        self._pumps.append(
            threading.Thread(target=self._pass_on, args=(source, target, name), daemon=True)
        )

    def _pass_on(self, source: int, target: int, name: str) -> None:
        """Copy what comes, at once; then tell of it."""
        try:
            while block := self._read(source):
                _write(target, block)
                if target != STDIN:  # a terminal for keys alone shows but what is typed
                    self._feed(name, block)
        except OSError:
            pass  # nobody reads our output any more, or nobody is left to write theirs
        if self.terminal is None or source != self.terminal.master:
            os.close(source)  # where nobody reads, the command hears of it as without us
        elif not self._ended.is_set() and not _is_terminal(target):
            self._signal_job(signal.SIGHUP)

    def _read(self, source: int) -> bytes:
        while not self._ended.is_set():
            ready = select.select([source, self._woken], [], [])[0]
            if source in ready:
                return os.read(source, BLOCK)
        if select.select([source], [], [], LINGER)[0]:
            return os.read(source, BLOCK)
        return b""

    def _pass_keys(self) -> None:
        """What is typed goes to the command, as long as it lives and we are in the foreground."""
        assert self.terminal is not None
        # the moment we are sent to the background, to read is an error, and does not stop us
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTIN})
        with suppress(OSError):
            while not self._ended.is_set():
                if not self.terminal.in_front.wait(LOOK):
                    with self._stopping:
                        self.terminal.enter()
                    continue
                if self._woken in select.select([STDIN, self._woken], [], [])[0]:
                    return
                if not self.terminal.in_front.is_set():
                    continue
                keys = os.read(STDIN, 4_096)
                if not keys:
                    return
                _write(self.terminal.master, keys)


def _write(target: int, block: bytes) -> None:
    """All of it, however slowly the other side takes it."""
    left = memoryview(block)
    while left:
        try:
            left = left[os.write(target, left) :]
        except BlockingIOError:  # others made our output non-blocking
            select.select([], [target], [])


def _is_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:
        return False


def _same(one: int, other: int) -> bool:
    try:
        return os.path.sameopenfile(one, other)
    except OSError:
        return False


def _name(fd: int) -> str:
    return "stderr" if fd == STDERR else "stdout"
