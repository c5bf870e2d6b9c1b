"""Makes the starts of a pytest process warm: those that a warm process can do exactly.

Every other one is cold, as before: a start with a hook, with more descriptors, as another user or
of another program. So is one whose surroundings differ from those of the warm processes: a signal
that is ignored, a limit, a variable that Python or a module reads before the command begins.
"""

import inspect
import marshal
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.support.altered_relay import ALTERED, CLOCK_AHEAD
from tests.support.patience import PATIENCE
from tests.support.warm import process
from tests.support.warm.process import LARGEST, Start

MODULES = ("relay.cli.main", "tests.support.altered_relay", "tests.support.warm.probe")
COMMANDS = ("answer", "ask", "log", "run", "send", "serve", "stop", "tail", "tasks")
"""Those that many tests start as processes; one of another command would serve few."""

READ_BEFORE = (
    *("PYTHON", "LC_", "LANG", "LD_", "GLIBC_", "MALLOC_", "OPENSSL_"),  # before any module
    *("ANDROID_DATA", "FORCE_COLOR", "NO_COLOR", "PROMETHEUS_", "prometheus_"),  # by modules
)
"""How variables begin that are read before a command begins (`test_warm.py` looks for them)."""

PATH = "PYTHONPATH"  # the one of them for each of whose values there are warm processes
INHERITED = (
    *("Uid", "Gid", "Groups", "Cap", "NoNewPrivs", "Seccomp"),
    *("Umask", "SigBlk", "SigIgn", "Cpus_allowed"),
    "Tgid",  # of a process that a test forks: the warm processes are not its own
)
Cold = subprocess.Popen
SIGNATURE = inspect.signature(Cold._execute_child)  # type: ignore[attr-defined]
UNUSED: dict[str, Any] = {
    **dict.fromkeys(("executable", "preexec_fn", "gid", "gids", "uid")),
    **{"close_fds": True, "pass_fds": (), "shell": False, "restore_signals": True, "umask": -1},
}
"""What a warm start may be asked for of `Popen`: nothing but the defaults of these."""


def surroundings() -> list[str]:
    """What a process inherits from this thread, beside its environment and descriptors."""
    status = Path("/proc/thread-self/status").read_text().splitlines()
    limits = Path("/proc/self/limits").read_text()
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    return [*(line for line in status if line.startswith(INHERITED)), limits, str(nice)]


class WarmProcess:
    """That of one command, from the side of this process."""

    def __init__(self, words: tuple[str, ...], environment: Mapping[str, str]) -> None:
        """`words` are the module, the command and the checkout of `process.py`."""
        self._lock = threading.Lock()
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._requests.settimeout(PATIENCE)
        with theirs:
            self._process = Cold(
                [sys.executable, process.__file__, str(theirs.fileno()), *words],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def start(self, message: bytes, stdio: list[int]) -> int:
        """Start a program by a `Start`, and return its pid."""
        return self._asked(message, stdio)

    def exit_code(self, pid: int) -> int:
        """That of a program of it that has ended; it is no zombie after that."""
        return self._asked(marshal.dumps(pid), [])

    def _asked(self, message: bytes, descriptors: list[int]) -> int:
        with self._lock:
            try:
                socket.send_fds(self._requests, [message], descriptors)
                answer = self._requests.recv(LARGEST)
            except BaseException:
                self._requests.close()  # the next answer would be this one's
                raise
        assert answer, "the warm process ended"
        return int(marshal.loads(answer))

    def end(self) -> None:
        """End it. Programs that still run go on, as those of a pytest that ends do."""
        self._requests.close()
        self._process.wait(PATIENCE)


class Starts:
    """The warm processes of this one, each made at the first start of its command."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._surroundings = surroundings()
        self._environment = dict(os.environ)
        self._processes: dict[tuple[str, ...], WarmProcess] = {}

    def warm_process(self, asked: Mapping[str, Any]) -> WarmProcess | None:
        """The one that can do what `Popen` is asked for, or None."""
        if not (is_plain(asked) and self._is_usual(asked["env"])):
            return None
        folder, path = folder_of(asked), asked["env"].get(PATH, "")
        is_checkout = os.path.exists(os.path.join(folder, "relay", "__init__.py"))
        words = (*asked["args"][2:4], folder if is_checkout else "")
        with self._lock:
            if (*words, path) not in self._processes:
                environment = {**self._environment, **({PATH: path} if path else {})}
                self._processes[*words, path] = WarmProcess(words, environment)
            return self._processes[*words, path]

    def _is_usual(self, environment: Mapping[str, str]) -> bool:
        """Whether all that a program inherits, and reads before it begins, is as it was here."""
        return (
            "HOME" in environment  # Python looks elsewhere for it otherwise
            and environment.get(PATH, "/").startswith("/")  # and not from the folder of a start
            and CLOCK_AHEAD not in environment.get(ALTERED, "")
            and _read_before(environment) == _read_before(self._environment)
            and surroundings() == self._surroundings
        )

    def end(self) -> None:
        for each in self._processes.values():
            each.end()


def is_plain(asked: Mapping[str, Any]) -> bool:
    """Whether `Popen` is asked for one of the commands, and for nothing unusual beside it."""
    words = asked["args"]
    return (
        isinstance(words, list | tuple)
        and list(words[:2]) == [sys.executable, "-m"]
        and len(words) > 3
        and words[2] in MODULES
        and words[3] in COMMANDS
        and all(asked[name] == unused for name, unused in UNUSED.items())
        and asked["env"] is not None  # that of the C library, which may hold more than os.environ
        and os.path.isdir(asked["cwd"] or ".")
    )


def _read_before(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that are read before a command begins; one of them may differ."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(READ_BEFORE) and name != PATH
    }


def folder_of(asked: Mapping[str, Any]) -> str:
    """The working folder that `Popen` is asked for."""
    return os.path.join(os.getcwd(), os.fsdecode(asked["cwd"] or ""))


def message_of(asked: Mapping[str, Any]) -> bytes:
    """What `Popen` is asked for, as a message to a warm process."""
    start = Start(
        words=[os.fsdecode(word) for word in asked["args"]],
        environment={os.fsencode(k): os.fsencode(v) for k, v in asked["env"].items()},
        folder=folder_of(asked),
        new_session=bool(asked["start_new_session"]),
        process_group=asked["process_group"],
    )
    return marshal.dumps(tuple(start))


class Popen(Cold[Any]):
    """A `subprocess.Popen` whose process is forked by a warm one, if that can do it."""

    starts: ClassVar[Starts | None] = None
    warm: WarmProcess | None = None
    """The parent of the process, unless this one is."""

    def _execute_child(self, *given: Any) -> None:
        asked = SIGNATURE.bind(self, *given).arguments
        warm = self.starts and self.starts.warm_process(asked)
        message = message_of(asked) if warm else b""
        if not warm or len(message) > LARGEST:
            super()._execute_child(*given)  # type: ignore[misc]
            return
        pipes = [asked[end] for end in ("p2cread", "c2pwrite", "errwrite")]
        self.pid = warm.start(message, [n if pipe == -1 else pipe for n, pipe in enumerate(pipes)])
        self.warm, self._taking = warm, threading.Lock()
        self._child_created = True
        ends = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(asked[end] for end in ends))  # type: ignore[attr-defined]

    def poll(self) -> int | None:
        if self.warm is None:
            return super().poll()
        self._take_exit_code(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.warm is None:
            return super().wait(timeout)
        self._take_exit_code(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self.returncode

    def _take_exit_code(self, timeout: float | None) -> None:
        """Wait so many seconds for its end, and ask the warm process, its parent, for the code."""
        assert self.warm is not None
        with self._taking:
            if self.returncode is not None:
                return
            ended = os.pidfd_open(self.pid)  # it is a zombie until its code is taken
        try:
            waiting = select.poll()
            waiting.register(ended, select.POLLIN)
            if not waiting.poll(None if timeout is None else timeout * 1_000):
                return
        finally:
            os.close(ended)
        with self._taking:
            if self.returncode is None:
                self.returncode = self.warm.exit_code(self.pid)


@contextmanager
def warm_starts() -> Iterator[None]:
    """Starts in the block are warm where they can be; without pidfds all of them are cold."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        yield
        return
    Popen.starts = starts = Starts()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(subprocess, "Popen", Popen)
            yield
    finally:
        Popen.starts = None
        starts.end()


@contextmanager
def cold_starts() -> Iterator[None]:
    """Starts in the block are cold: for tests of what a start itself does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Popen, "starts", None)
        yield
