"""The command starts with the state that `relay run` was started with, and its end is reported."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.commands import environment
from tests.support.programs import program
from tests.support.stand_in import TOKEN, StandIn

SCRIPT = Path(__file__).parents[2] / "support" / "scripts" / "inherited_state.py"
ROOT = Path(__file__).parents[3]
# Isolated (-I): neither a working folder nor PYTHON… variables change what Python itself does.
PROBE = [sys.executable, "-I", "-S", str(SCRIPT)]
PATH = f"import sys; sys.path.insert(0, {str(ROOT)!r})"
MAIN = "from relay.cli.main import main; main()"
START = f"{PATH}; {MAIN}"
# -P: the working folder is not searched, as with the installed command. Python 3.13.0 cannot import
# `socket` in a deleted one otherwise.
RELAY_RUN = [sys.executable, "-P", "-c", START, "run", "--wait", "3600", "--"]

Change = Callable[[], object]


def limited(kind: int, soft: int) -> Change:
    return lambda: resource.setrlimit(kind, (soft, resource.getrlimit(kind)[1]))


def deleted_folder() -> None:
    """In the working folder, which is the test's own."""
    os.mkdir("deleted")
    os.chdir("deleted")
    os.rmdir("../deleted")


def hard_limited(kind: int, limit: int) -> Change:
    return lambda: resource.setrlimit(kind, (limit, limit))


NAMES = ("CHLD", "HUP", "INT", "QUIT", "TERM", "TSTP", "TTIN", "TTOU", "USR1", "USR2", "ALRM")
SIGNALS = [signal.Signals[f"SIG{name}"] for name in (*NAMES, "WINCH", "CONT", "VTALRM")]
DIGITS = 3  # in base 3: enough for the places of all of them


def together(*changes: Change) -> Change:
    return lambda: [change() for change in changes]


def ignored(*numbers: int) -> Change:
    return lambda: [signal.signal(number, signal.SIG_IGN) for number in numbers]


def blocked(*numbers: int) -> Change:
    return lambda: signal.pthread_sigmask(signal.SIG_BLOCK, numbers)


def mixed(digit: int, turn: int) -> Change:
    """Each signal is left as it is, ignored or blocked, by one digit of its place.

    The places of any two differ in a digit. In the three turns of that digit each of the two has
    every state, and never the other's.
    """
    ways: list[list[int]] = [[], [], []]
    for place, number in enumerate(SIGNALS):
        ways[(place // 3**digit + turn) % 3].append(number)
    _, to_ignore, to_block = ways
    return together(ignored(*to_ignore), blocked(*to_block))


# What is independent is changed together: a process a state would be most of this module's time.
STATES: dict[str, Change] = {
    "unchanged": lambda: None,
    **{
        f"signals by digit {digit}, turn {turn}": mixed(digit, turn)
        for digit in range(DIGITS)
        for turn in range(3)
    },
    "all ignored": ignored(*SIGNALS),
    "all blocked": blocked(*SIGNALS),
    "12 open files": limited(resource.RLIMIT_NOFILE, 12),
    "64 open files": limited(resource.RLIMIT_NOFILE, 64),
    "29 open files at most": hard_limited(resource.RLIMIT_NOFILE, 29),
    "a deleted folder": deleted_folder,
    "no core, umask 0, an alarm": together(
        limited(resource.RLIMIT_CORE, 0),
        lambda: os.umask(0),
        lambda: signal.alarm(20_000),
    ),
    "a small stack, umask 077, a repeated alarm": together(
        limited(resource.RLIMIT_STACK, 2**20),
        lambda: os.umask(0o077),
        lambda: signal.setitimer(signal.ITIMER_REAL, 20_000, 30),
    ),
    "nice, timers of user time and of processor time": together(
        lambda: os.nice(3),
        lambda: signal.setitimer(signal.ITIMER_VIRTUAL, 20_000, 7),
        lambda: signal.setitimer(signal.ITIMER_PROF, 20_000),
    ),
}


async def run(
    command: list[str], env: dict[str, str], change: Change, **given: Any
) -> "subprocess.CompletedProcess[bytes]":
    def start() -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            command,
            env=env,
            preexec_fn=change,  # the test's other threads hold no lock that this needs
            check=False,
            capture_output=True,
            start_new_session=True,
            **{"stdin": subprocess.DEVNULL, **given},
        )

    return await trio.to_thread.run_sync(start)


async def assert_same(
    stand_in: StandIn,
    folder: Path,
    change: Change,
    more: dict[str, str] | None = None,
    **given: Any,
) -> None:
    """The command finds the same state bare and under `relay run`, which reports its end."""
    env = {
        "RELAY_URL": stand_in.url,
        "RELAY_TOKEN": TOKEN,
        **(environment() if more is None else more),
    }
    given = {"cwd": folder, **given}
    bare = await run(PROBE, env, change, **given)
    watched = await run([*RELAY_RUN, *PROBE], env, change, **given)
    assert (bare.returncode, watched.returncode) == (3, 3), watched.stderr
    assert watched.stderr == bare.stderr == b""
    assert json.loads(watched.stdout) == json.loads(bare.stdout)
    ends = [event for event in stand_in.events if event["event_type"] == "task_failed"]
    assert [event["payload"]["exit_code"] for event in ends] == [3]


@pytest.mark.parametrize("state", STATES)
async def test_the_command_finds_the_state_that_was_there(
    stand_in: StandIn, tmp_path: Path, state: str
) -> None:
    await assert_same(stand_in, tmp_path, STATES[state])


async def test_a_pipe_that_has_no_writer_is_its_stdin(stand_in: StandIn, tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(write)
    with os.fdopen(read) as stdin:
        await assert_same(stand_in, tmp_path, lambda: None, stdin=stdin)


# 5 files are the fewest with which Python starts. A user's processes are counted together.
TOO_LITTLE = {
    "5 open files": (hard_limited(resource.RLIMIT_NOFILE, 5), "Too many open files"),
    "12 open files": (hard_limited(resource.RLIMIT_NOFILE, 12), "Too many open files"),
    "28 open files": (hard_limited(resource.RLIMIT_NOFILE, 28), "Too many open files"),
    **{
        f"{number} more processes": (
            hard_limited(resource.RLIMIT_NPROC, 1 + number),
            "Resource temporarily unavailable",
        )
        for number in range(2)
    },
}
# Other processes may come between the check and the start: here the check counts none.
LATE = f"{PATH}; from relay.runner import resource_check; resource_check.THREADS = 0; {MAIN}"


@pytest.mark.parametrize(
    ("limit", "start"),
    [*((limit, START) for limit in TOO_LITTLE), *((f"{n} more processes", LATE) for n in range(2))],
    ids=lambda value: {START: "before the start", LATE: "at the start"}.get(value, value),
)
async def test_where_limits_leave_too_little_the_command_runs_unpublished(
    stand_in: StandIn, tmp_path: Path, limit: str, start: str
) -> None:
    """In the place of `relay run`: it is the process that was started, and has its exit code."""
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN)
    env.pop("TMPDIR", None)  # the loader removes it where the real user is another one
    change, reason = TOO_LITTLE[limit]
    user = unprivileged() if "processes" in limit else []
    relay_run = [*user, sys.executable, "-P", "-c", start, "run", "--wait", "3600", "--"]
    bare = await run([*user, *PROBE], env, change, cwd=tmp_path)
    alone = await run([*relay_run, *PROBE], env, change, cwd=tmp_path)
    assert (bare.returncode, alone.returncode) == (3, 3), alone.stderr
    assert json.loads(alone.stdout) == json.loads(bare.stdout)
    assert alone.stderr.decode() == (
        f"relay: this run is not published: {reason}; too few files or processes are allowed\n"
    )
    missing = await run([*relay_run, "no-such-command"], env, change, cwd=tmp_path)
    assert missing.returncode == 127
    assert missing.stderr.endswith(b"relay: no-such-command: command not found\n")
    assert stand_in.events == []


def unprivileged() -> list[str]:
    """Words before a command that have it count as another user's, if this one is root.

    No limit of processes applies to root.
    """
    if os.getuid():
        return []
    user = str(50_000 + os.getpid())  # with no other processes
    return [program("setpriv"), "--ruid", user, "--bounding-set", "-sys_resource,-sys_admin"]


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({}, id="empty"),
        pytest.param({"PATH": "/usr/bin:/bin"}, id="no HOME, no TERM"),
        pytest.param({"LC_CTYPE": "C.UTF-8"}, id="a variable that Python sets too"),
        pytest.param({"LC_ALL": "C"}, id="the C locale"),
        pytest.param({f"V{n}": "x" * 1_000 for n in range(500)}, id="large"),
    ],
)
async def test_the_command_finds_the_environment_that_was_there(
    stand_in: StandIn, variables: dict[str, str], home: Path, tmp_path: Path
) -> None:
    await assert_same(stand_in, tmp_path, lambda: None, variables)


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (0, 2), (0, 1, 2)], ids=str)
async def test_a_closed_stream_does_not_stop_it(stand_in: StandIn, closed: tuple[int, ...]) -> None:
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN)
    done = await run(
        [*RELAY_RUN, "sh", "-c", "echo out; echo err >&2; exit 3"],
        env,
        lambda: list(map(os.close, closed)),
    )
    shown = (b"" if 1 in closed else b"out\n", b"" if 2 in closed else b"err\n")
    assert (done.returncode, done.stdout, done.stderr) == (3, *shown)
    assert sorted(stand_in.log_lines()) == ["err", "out"]
    assert stand_in.events[-1]["event_type"] == "task_failed"
