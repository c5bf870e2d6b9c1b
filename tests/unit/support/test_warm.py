"""A warm start is a cold one: in all that a program can see, and in how it ends."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import trio

from tests.support.altered_relay import ALTERED, CLOCK_AHEAD
from tests.support.commands import RELAY, environment
from tests.support.patience import PATIENCE, eventually
from tests.support.processes import lives
from tests.support.relay_process import ROOT
from tests.support.start import deaf_children
from tests.support.warm.starts import COMMANDS, READ_BEFORE, Popen, cold_starts, surroundings

PROBE = (sys.executable, "-m", "tests.support.warm.probe")
PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
HERE = environment(PYTHONPATH=str(ROOT))  # whichever Relay is installed
Done = tuple[int, str, str]  # exit code, stdout, stderr


def is_warm(process: object) -> bool:
    return isinstance(process, Popen) and process.warm is not None


def start(words: tuple[str, ...], **given: Any) -> tuple[bool, Done]:
    """Run a command to its end: whether it was warm, and what became of it."""
    usual = {"cwd": "/", "env": HERE, "text": True, **PIPES}
    process = subprocess.Popen(words, **{**usual, **given})
    output = process.communicate(timeout=PATIENCE)
    return is_warm(process), (process.returncode, *output)


def both(*words: str, **given: Any) -> tuple[Done, Done]:
    """The same start, warm and cold."""
    was_warm, warm = start(words, **given)
    with cold_starts():
        _, cold = start(words, **given)
    assert was_warm
    return warm, cold


# -- what a program sees

FILE = Path(__file__)
BARE = {"HOME": "/", "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT)}
KINDS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "in its own session": {"start_new_session": True},
    "in its own group": {"process_group": 0},
    "with pipes": {"stdin": subprocess.PIPE, "stderr": subprocess.STDOUT},
    "with a file": {"stdin": FILE, "stderr": subprocess.DEVNULL},
    "in a checkout": {"cwd": ROOT},
    "with a setting": {"env": {**HERE, "RELAY_BIND": "x"}},
    "with another environment": {"env": {**BARE, "TZ": "Asia/Kolkata", "A": "\udce4"}},
}


@pytest.mark.parametrize("given", KINDS.values(), ids=KINDS)
def test_a_program_sees_the_same(given: dict[str, Any]) -> None:
    with ExitStack() as files:
        given = {k: files.enter_context(v.open()) if v is FILE else v for k, v in given.items()}
        warm, cold = both(*PROBE, "run", "pass", **given)
    assert (warm[0], warm[2]) == (cold[0], cold[2])
    assert json.loads(warm[1]) == json.loads(cold[1])


@pytest.mark.parametrize("command", [one for one in COMMANDS if one != "run"])
def test_the_program_of_each_command_sees_the_same(command: str) -> None:
    warm, cold = both(*PROBE, command, "pass")
    assert json.loads(warm[1]) == json.loads(cold[1])


def test_an_altered_relay_is_the_same() -> None:
    words = (sys.executable, "-m", "tests.support.altered_relay", "tasks", "--help")
    altered = json.dumps({"relay.cli.exit_codes.INTERRUPTED": 1})
    warm, cold = both(*words, env={**HERE, ALTERED: altered})
    assert warm == cold
    assert "Usage: python -m tests.support.altered_relay tasks" in warm[1]


RANDOM = """
import random, secrets, ssl, uuid, uuid_utils
print(random.random(), secrets.token_hex(), ssl.RAND_bytes(8).hex())
print(uuid.uuid4(), uuid_utils.uuid4(), uuid_utils.uuid7())
"""


def test_two_programs_share_nothing_random() -> None:
    texts = [start((*PROBE, "serve", RANDOM))[1][1] for _ in range(2)]
    numbers = {number for text in texts for number in text.partition("\n")[2].split()}
    assert len(numbers) == 12, texts


def test_a_program_is_what_it_was_asked_to_be_once_it_has_started(tmp_path: Path) -> None:
    """It can be signalled by its group at once, and its folder may be renamed."""
    words = [*PROBE, "run", "signal.pause()"]
    for given in ({"start_new_session": True}, {"process_group": 0}):
        with subprocess.Popen(
            words, env=HERE, cwd=tmp_path, stdout=subprocess.DEVNULL, **given
        ) as process:
            leads = (os.getsid(process.pid) == process.pid, os.getpgid(process.pid) == process.pid)
            folder = os.readlink(f"/proc/{process.pid}/cwd")
            process.kill()
        assert is_warm(process)
        assert leads == ("start_new_session" in given, True)
        assert folder == str(tmp_path)


# -- how it ends

ENDS = {
    "done": ("pass", 0),
    "a code": ("sys.exit(3)", 3),
    "a message": ("sys.exit('why')", 1),
    "an unexpected exception": ("raise RuntimeError('why')", 1),
    "a key": ("raise KeyboardInterrupt", -signal.SIGINT),
    "a signal": ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    "at once": ("os._exit(4)", 4),
    "last words": ("import atexit; atexit.register(print, 'bye'); print('well')", 0),
    "a thread that goes on": ("threading.Timer(0.01, print, ['late']).start()", 0),
    "a reader that left": ("os.close(1); print('lost')", 120),
}


@pytest.mark.parametrize(("code", "expected"), ENDS.values(), ids=ENDS)
def test_a_program_ends_in_the_same_way(code: str, expected: int) -> None:
    warm, cold = both(*PROBE, "run", code)
    assert warm[0] == cold[0] == expected
    assert warm[1] == cold[1]
    assert warm[2].splitlines()[-1:] == cold[2].splitlines()[-1:]  # a traceback shows more lines


async def test_trio_waits_for_a_warm_program() -> None:
    words = [*PROBE, "run", "signal.pause()"]
    process = await trio.lowlevel.open_process(words, env=HERE, cwd="/", stdout=subprocess.DEVNULL)
    assert is_warm(process._proc)
    with trio.move_on_after(0):
        await process.wait()
    assert process.returncode is None
    process.terminate()
    await eventually(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
    assert await process.wait() == process.returncode == -signal.SIGTERM
    assert not psutil.pid_exists(process.pid)
    process.kill()  # as of any other process that has ended, it is no error


def test_a_wait_that_takes_too_long_is_one() -> None:
    words = [*PROBE, "run", "signal.pause()"]
    with subprocess.Popen(words, env=HERE, cwd="/", stdout=subprocess.DEVNULL) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0)
        process.kill()
    assert (is_warm(process), process.returncode) == (True, -signal.SIGKILL)


KILLED = """
import os, subprocess, sys
from tests.support.warm.starts import warm_starts
with warm_starts():
    subprocess.run(sys.argv[1:], env=dict(os.environ), cwd="/")
"""


def test_a_warm_process_ends_with_its_pytest() -> None:
    """What it has started goes on, as after a cold start."""
    program = [*PROBE, "run", "print(os.getpid(), os.getppid(), flush=True); signal.pause()"]
    words = [sys.executable, "-c", KILLED, *program]
    with subprocess.Popen(words, env=HERE, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        run.stdout.readline()
        started, warm = (psutil.Process(int(pid)) for pid in run.stdout.readline().split())
        assert warm.ppid() == run.pid
        run.kill()
    trio.run(eventually, lambda: not lives(warm))
    assert lives(started)
    started.kill()


# -- what is cold

HELP = (*RELAY, "run", "--help")
COLD: dict[str, dict[str, Any]] = {
    "a hook": {"preexec_fn": os.getpid},
    "more descriptors": {"pass_fds": [2]},
    "an umask": {"umask": 0o077},
    "the environment as it is": {"env": None},
    "another encoding": {"env": {**HERE, "LC_ALL": "C"}},
    "no colours": {"env": {**HERE, "NO_COLOR": "1"}},
    "much of it": {"env": {**HERE, "RELAY_LABEL": "x" * 100_000}},
    "a wrong clock": {"env": {**HERE, ALTERED: json.dumps({CLOCK_AHEAD: 1})}},
}


@pytest.mark.parametrize("given", COLD.values(), ids=COLD)
def test_what_a_warm_process_cannot_do_is_cold(given: dict[str, Any]) -> None:
    was_warm, (code, stdout, stderr) = start(HELP, **given)
    assert (was_warm, code, stderr) == (False, 0, "")
    assert "Usage: python -m relay.cli.main run" in stdout


def test_a_folder_that_is_missing_is_the_same_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        start(HELP, cwd=tmp_path / "missing")


@contextmanager
def fewer_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def other_umask() -> Iterator[None]:
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def blocked_signal() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.mark.parametrize("changed", [deaf_children, fewer_files, other_umask, blocked_signal])
def test_what_a_child_would_inherit_is_noticed(
    changed: Callable[[], AbstractContextManager[None]],
) -> None:
    before = surroundings()
    with changed():
        assert surroundings() != before
    assert surroundings() == before


def test_a_start_in_other_surroundings_is_cold() -> None:
    with deaf_children():
        was_warm, (_, stdout, _) = start((*PROBE, "run", "pass"))
    assert not was_warm
    assert json.loads(stdout)["signals"][str(int(signal.SIGTERM))] == str(signal.SIG_IGN)


READS = """
import os, sys, traceback
class Watched(type(os.environ)):
    def __getitem__(self, name):
        # wsgiref keeps all of them for scripts that it would run
        if not any("wsgiref" in frame.filename for frame in traceback.extract_stack()):
            print(name)
        return super().__getitem__(name)
os.environ.__class__ = Watched
from tests.support.warm.process import import_command
for command in sys.argv[1:]:
    import_command("relay.cli.main", command)
"""


def test_variables_that_imports_read_are_listed() -> None:
    words = [sys.executable, "-c", READS, "serve", *COMMANDS]
    read = subprocess.check_output(words, cwd=ROOT, text=True).split()
    assert "NO_COLOR" in read
    assert [name for name in read if not name.startswith(READ_BEFORE)] == []
