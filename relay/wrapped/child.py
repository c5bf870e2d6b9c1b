"""The command itself: started with what we were started with, its output passed on untouched."""

import os
import select
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from relay.wrapped.terminal import Terminal

BLOCK = 65_536  # bytes: what a pipe holds
LINGER = 0.2  # seconds of silence after the command's end, when others still hold its output

STDIN, STDOUT, STDERR = 0, 1, 2

Feed = Callable[[str, bytes], None]


class CannotStart(Exception):
    """There is no such command, or it may not be run; `exit_code` is what shells give then."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Child:
    """A running command. A terminal where we have one; pipes, kept apart, where we have not."""

    def __init__(
        self, command: Sequence[str], feed: Feed, unblocked: Iterable[signal.Signals]
    ) -> None:
        """Start it. `unblocked`: signals that we hold back and it must not. Raises CannotStart."""
        self._feed = feed
        self._ended = threading.Event()
        self._woken, self._waker = os.pipe()
        terminals = [fd for fd in (STDOUT, STDERR, STDIN) if _is_terminal(fd)]
        typed = STDIN if STDIN in terminals else None
        self.terminal = Terminal(terminals[0], typed) if terminals else None
        self._pumps: list[threading.Thread] = []
        held = frozenset(unblocked)
        ends: list[int] = []  # the command's, ours to close

        def prepare() -> None:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, held)
            if self.terminal is not None:
                self.terminal.make_controlling()

        def output(fd: int, name: str) -> int:
            if self.terminal is not None and fd in terminals:
                return self.terminal.inside
            ours, theirs = os.pipe()
            ends.append(theirs)
            self._pump(ours, fd, name)
            return theirs

        stdout = output(STDOUT, "stdout")
        # one file for both keeps them in order, as it does without us
        stderr = stdout if _same(STDOUT, STDERR) else output(STDERR, "stderr")
        if self.terminal is not None:
            ends.append(self.terminal.inside)
            self._pump(self.terminal.master, terminals[0], _name(terminals[0]))
            # before it can ask: programs remember how they found their terminal
            self.terminal.enter()
        try:
            self._process = subprocess.Popen(
                command,
                stdin=self.terminal.inside if self.terminal is not None and typed == 0 else None,
                stdout=stdout,
                stderr=stderr,
                close_fds=False,  # what we were given beside the three is the command's, too
                start_new_session=self.terminal is not None,
                preexec_fn=prepare,  # there is no other thread yet
            )
        except OSError as error:
            if self.terminal is not None:
                self.terminal.leave()
            if isinstance(error, FileNotFoundError):
                raise CannotStart(f"{command[0]}: command not found", 127) from error
            raise CannotStart(f"{command[0]}: {error.strerror}", 126) from error
        finally:
            for end in ends:
                os.close(end)

    def run(self) -> int:
        """Pass everything on until it has ended; what a shell would give as its exit code."""
        for pump in self._pumps:
            pump.start()
        if self.terminal is not None:
            threading.Thread(target=self._pass_keys, daemon=True).start()
        try:
            code = self._process.wait()
            self._ended.set()
            os.write(self._waker, b".")
            for pump in self._pumps:
                pump.join()
        finally:
            if self.terminal is not None:
                self.terminal.leave()
        return code if code >= 0 else 128 - code

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    def signal(self, number: int, from_process: bool) -> None:
        """Pass a signal on that we were sent, unless the command has got it already."""
        with suppress(ProcessLookupError, PermissionError):
            if from_process:
                os.kill(self._process.pid, number)
            elif self.terminal is not None and (group := self.terminal.foreground()):
                # the kernel told us alone: the command's terminal is another one
                os.killpg(group, number)

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
            self.signal(signal.SIGHUP, False)

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
        with suppress(OSError):
            while not self._ended.is_set():
                if not self.terminal.in_front.wait(0.5):
                    continue
                if self._woken in select.select([STDIN, self._woken], [], [])[0]:
                    return
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
