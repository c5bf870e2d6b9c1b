"""`relay run` as a job of a shell: stopped by a key, continued, in the background, hung up."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
import trio

from tests.support.commands import RELAY, environment
from tests.support.patience import PATIENCE, eventually
from tests.support.processes import lives
from tests.support.programs import program
from tests.support.stand_in import TOKEN, StandIn
from tests.support.terminals import HEARS, Person, heard, piped, terminal

PROMPT = b"ready> "
RUN = " ".join([*RELAY, "run", "--wait", "3600", "--"])  # all is delivered in the end


@pytest.fixture
def env(stand_in: StandIn) -> dict[str, str]:
    return environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN, PS1=PROMPT.decode(), TERM="dumb")


@asynccontextmanager
async def shell(env: dict[str, str], name: str = "bash") -> AsyncIterator[Person]:
    manners = {"bash": ["--norc", "--noediting"], "zsh": ["-f", "+Z"], "dash": []}[name]
    async with terminal([program(name), *manners, "-i"], env) as person:
        await person.sees(PROMPT)
        yield person


def forget(person: Person) -> None:
    person.seen = b""


@pytest.mark.parametrize("name", ["bash", "zsh"])
async def test_ctrl_z_stops_the_command_and_fg_continues_it(
    stand_in: StandIn, env: dict[str, str], name: str
) -> None:
    async with shell(env, name) as person:
        await person.types(f"{RUN} cat\r".encode())
        for word in (b"one", b"two"):
            await person.passes_keys_on()
            forget(person)
            await person.types(word + b"\r")
            await person.sees(word + rb"\r\n" + word + rb"\r\n")  # the echo, and cat's own
            await person.types(b"\x1a")
            await person.sees(rb"(?i)(stopped|suspended)(.|\n)*" + PROMPT)
            # the shell has its terminal, as it was
            await person.types(b"stty -a | tr ' ' '\\n' | grep -x icanon; echo sh''ell\r")
            await person.sees(rb"\nicanon\r\n(.|\n)*shell\r\n")
            await person.types(b"fg; echo code=$?\r")
        await person.passes_keys_on()
        forget(person)
        await person.types(b"three\r\x04")
        await person.sees(rb"three\r\nthree\r\n(.|\n)*code=0")


async def test_a_background_job_can_be_brought_to_the_foreground(
    stand_in: StandIn, env: dict[str, str]
) -> None:
    async with shell(env) as person:
        await person.types(f"{RUN} cat &\r".encode())
        stand_in.was_asked()
        await person.types(b"echo not f''or cat\r")
        await person.sees(rb"not for cat\r\n")
        await person.types(b"fg\r")
        await person.passes_keys_on()
        forget(person)
        await person.types(b"for cat\r\x04")
        await person.sees(rb"for cat\r\nfor cat\r\n" + PROMPT)


async def test_continued_in_the_background_it_leaves_the_terminal_to_the_shell(
    stand_in: StandIn, env: dict[str, str]
) -> None:
    async with shell(env) as person:
        await person.types(f"{RUN} sh -c 'read x; echo got $x; read x; echo got $x'\r".encode())
        await person.passes_keys_on()
        await person.types(b"one\r")
        await person.sees(b"got one")
        await person.types(b"\x1a")
        await person.sees(b"Stopped")
        await person.types(b"bg\recho st''ill here; jobs\r")
        await person.sees(rb"still here\r\n\[1\]\+\s+Running")
        await person.types(b"fg\r")
        await person.passes_keys_on()
        await person.types(b"two\r")
        await person.sees(b"got two\r\n" + PROMPT)


async def test_in_the_foreground_again_it_owns_the_terminal_before_any_key(
    stand_in: StandIn, env: dict[str, str], tmp_path: Path
) -> None:
    """The shell sends a job that already runs no signal when it moves it to the foreground."""
    moved = tmp_path / "moved"
    async with shell(env) as person:
        await person.types(f"{RUN} {' '.join(HEARS)}\r".encode())
        await person.sees(rb"ready\r\n")
        await person.passes_keys_on()
        await person.types(b"\x1a")
        await person.sees(b"Stopped")
        # One line: whatever else is typed would wake the reader of keys.
        await person.types(f"bg; until test -e {moved}; do sleep 0.05; done; fg\r".encode())
        await person.sees(b"heard SIGCONT")
        moved.touch()
        await person.passes_keys_on()
        await person.types(b"\x03")
        await person.sees(b"heard SIGINT")
        (ours,) = _children(person, "relay.cli.main")
        ours.send_signal(signal.SIGUSR1)
        await person.sees(b"heard SIGUSR1")


async def test_a_pipeline_stops_and_gets_the_window_size_set_meanwhile(
    stand_in: StandIn, env: dict[str, str]
) -> None:
    async with shell(env) as person:
        command = "sh -c \"echo be''gun; while read x; do stty size; done\""
        await person.types(f"{RUN} {command} | cat\r".encode())
        await person.sees(b"begun")
        await person.types(b"\x1a")
        await person.sees(b"Stopped")
        person.resizes(44, 111)
        await person.types(b"fg\r\r")
        await person.sees(b"44 111")
        await person.types(b"\x04")
        await person.sees(PROMPT)


async def test_where_no_shell_could_continue_it_ctrl_z_stops_nothing(
    stand_in: StandIn, env: dict[str, str]
) -> None:
    async with terminal([*RUN.split(), *HEARS], env) as person:
        await person.sees(b"ready")
        await person.types(b"\x1a")
        await person.sees(b"heard SIGCONT")  # it was stopped, and goes on
        await person.types(b"\x03")
        await person.sees(b"heard SIGINT")
        person.process.send_signal(signal.SIGUSR1)
        assert await person.ended() == 5


async def test_keys_reach_the_command_and_a_piped_stdin_stays_a_pipe(
    stand_in: StandIn, env: dict[str, str]
) -> None:
    """stdin is none: the kernel tells us of the key, and the command's terminal is another."""
    async with shell(env) as person:
        await person.types(f"sleep 3600 | {RUN} {' '.join(HEARS)}\r".encode())
        await person.sees(rb"ready\r\n")
        await person.types(b"\x1a")
        await person.sees(b"Stopped")
        await person.types(b"fg\r")
        await person.sees(b"heard SIGCONT")
        await person.types(b"\x03")
        await person.sees(b"heard SIGINT")
        (ours,) = _children(person, "relay.cli.main")
        ours.send_signal(signal.SIGUSR1)  # what is passed on comes in order
        await person.sees(b"heard SIGUSR1")
        assert heard(person.seen) == ["SIGCONT", "SIGINT", "SIGUSR1"]


def _children(person: Person, word: str) -> list[psutil.Process]:
    """What the shell itself has started, and has this word in its command line."""

    def has_it(process: psutil.Process) -> bool:
        try:
            return any(word == each for each in process.cmdline())
        except psutil.NoSuchProcess:  # another one of the pipeline, which has just ended
            return False

    return [child for child in psutil.Process(person.process.pid).children() if has_it(child)]


# `relay run` without the recorder, and with something done at a moment that is hard to hit. It
# leads its session: SIGTSTP does not stop it, as no shell could continue it; SIGSTOP does.
ORDERED = """
import os, select, signal, sys
from relay.runner.command import WatchedCommand
from relay.runner.session_leader import SessionLeader
from relay.runner.inherited import Inherited
from relay.runner.signal_forwarding import block_signals, receive_signals
from relay.runner.start import start_command
from relay.runner.terminal import Terminal

inherited = Inherited.read()
block_signals()
started = start_command(sys.argv[1:], inherited)
watched = WatchedCommand(started, lambda *_: None)
select.select([started.streams.terminal.runner_side], [], [])  # the command is ready

def on_signal(number, from_process):
    if number == signal.SIGCONT:
        watched.continued()
    else:
        watched.forward(number, from_process)

receive_signals(on_signal)
{}
os._exit(watched.run())
"""


async def test_ctrl_z_before_the_runner_is_ready_stops_the_command(env: dict[str, str]) -> None:
    """What the command shows is shown only then, but a key may come at any time."""
    at_once = ORDERED.format("os.kill(os.getpid(), signal.SIGTSTP)")
    async with terminal([sys.executable, "-c", at_once, *HEARS], env) as person:
        await person.sees(b"heard SIGCONT")  # it was stopped, and goes on
        person.process.send_signal(signal.SIGUSR1)
        assert await person.ended() == 5
    assert heard(person.seen) == ["SIGCONT", "SIGUSR1"]


# What reads get that begin in the background.
FIRST_READ_FAILS = """
import errno
read, errors = os.read, [OSError(errno.EIO, "in the background")]
def read_or_fail(fd, size):
    if fd == 0 and errors:
        raise errors.pop()
    return read(fd, size)
os.read = read_or_fail
"""


async def test_keys_are_read_on_after_a_read_in_the_background(env: dict[str, str]) -> None:
    fails = ORDERED.format(FIRST_READ_FAILS)
    async with terminal([sys.executable, "-c", fails, *HEARS], env) as person:
        await person.passes_keys_on()
        await person.types(b"\x03")
        await person.sees(b"heard SIGINT")
        person.process.send_signal(signal.SIGUSR1)
        assert await person.ended() == 5
    assert heard(person.seen) == ["SIGINT", "SIGUSR1"]


# The command is stopped, and the runner knows of it, but has not stopped yet.
BEFORE_THE_RUNNER_STOPS = """
stop_runner = SessionLeader.stop_runner
def after_something_else(leader, on_report):
    {}
    return stop_runner(leader, on_report)
SessionLeader.stop_runner = after_something_else
make_raw = Terminal.make_raw
def make_raw_and_show_it(terminal):
    make_raw(terminal)
    os.write(1, b"in front")
Terminal.make_raw = make_raw_and_show_it
os.kill(started.process, signal.SIGSTOP)
"""


async def test_a_command_continued_before_the_runner_stops_is_not_waited_for(
    env: dict[str, str],
) -> None:
    goes_on = ORDERED.format(
        BEFORE_THE_RUNNER_STOPS.format("os.kill(started.process, signal.SIGCONT)")
    )
    async with terminal([sys.executable, "-c", goes_on, *HEARS], env) as person:
        await person.sees(b"in front")
        await person.sees(b"heard SIGCONT")
        person.process.send_signal(signal.SIGUSR1)
        assert await person.ended() == 5
    assert heard(person.seen) == ["SIGCONT", "SIGUSR1"]


async def test_a_command_killed_before_the_runner_stops_has_ended(env: dict[str, str]) -> None:
    dies = ORDERED.format(
        BEFORE_THE_RUNNER_STOPS.format("os.kill(started.process, signal.SIGKILL)")
    )
    async with terminal([sys.executable, "-c", dies, *HEARS], env) as person:
        assert await person.ended() == 128 + signal.SIGKILL


# The next key has stopped the command when the runner heeds the SIGCONT of the last `fg`.
CONTINUED_LATE = """
import psutil, re, time
(leader,) = psutil.Process().children()

def is_idle():
    status = open(f"/proc/{leader.pid}/status").read()
    pending = int(re.search("ShdPnd:\\s*(\\w+)", status)[1], 16)
    return not pending and leader.status() == psutil.STATUS_SLEEPING

os.kill(started.process, signal.SIGSTOP)
while psutil.Process(started.process).status() != psutil.STATUS_STOPPED:
    time.sleep(0.01)
watched.continued()
while not is_idle():  # it has done what it was asked for
    time.sleep(0.01)
"""


async def test_a_late_sigcont_continues_no_command_that_has_stopped_again(
    env: dict[str, str],
) -> None:
    late = ORDERED.format(CONTINUED_LATE)
    async with terminal([sys.executable, "-c", late, *HEARS], env) as person:
        ours = psutil.Process(person.process.pid)
        await eventually(lambda: ours.status() == psutil.STATUS_STOPPED)
        person.process.send_signal(signal.SIGCONT)
        await person.sees(b"heard SIGCONT")
        person.process.send_signal(signal.SIGUSR1)
        assert await person.ended() == 5
    assert heard(person.seen) == ["SIGCONT", "SIGUSR1"]


async def test_a_command_continued_from_outside_continues_the_runner(
    stand_in: StandIn, env: dict[str, str]
) -> None:
    async with terminal([*RUN.split(), *HEARS], env) as person:
        await person.sees(b"ready")
        ours = psutil.Process(person.process.pid)
        (command,) = [each for each in ours.children(recursive=True) if each.cmdline() == HEARS]
        command.send_signal(signal.SIGSTOP)
        await eventually(lambda: ours.status() == psutil.STATUS_STOPPED)
        command.send_signal(signal.SIGCONT)
        await person.sees(b"heard SIGCONT")
        person.process.send_signal(signal.SIGUSR1)
        assert await person.ended() == 5
    assert heard(person.seen) == ["SIGCONT", "SIGUSR1"]


@pytest.mark.parametrize("continued", ["job", "command"])
async def test_with_ctrl_z_ignored_sigcont_reaches_the_command_once(
    stand_in: StandIn, env: dict[str, str], continued: str
) -> None:
    ignoring = ["sh", "-c", "trap '' TSTP; exec \"$@\"", "-"]
    async with terminal([*ignoring, *RUN.split(), *HEARS], env) as person:
        await person.sees(b"ready")
        ours = psutil.Process(person.process.pid)
        (command,) = [each for each in ours.children(recursive=True) if each.cmdline() == HEARS]
        command.send_signal(signal.SIGSTOP)
        await eventually(lambda: command.status() == psutil.STATUS_STOPPED)
        (ours if continued == "job" else command).send_signal(signal.SIGCONT)
        await person.sees(b"heard SIGCONT")
        person.process.send_signal(signal.SIGUSR1)
        assert await person.ended() == 5
    assert heard(person.seen) == ["SIGCONT", "SIGUSR1"]


async def gone(processes: list[psutil.Process]) -> None:
    """Wait until none of them runs; one that has not been reaped yet does not."""
    await eventually(lambda: not any(lives(process) for process in processes))


async def test_a_closed_terminal_hangs_up_the_whole_job(
    stand_in: StandIn, env: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    script = f"(trap 'echo child >> {log}; exit' HUP; echo ready; while :; do sleep 0.05; done)"
    both = f"trap 'echo parent >> {log}' HUP; {script}; wait"
    async with terminal([*RUN.split(), "sh", "-c", both], env) as person:
        await person.sees(b"ready")
        processes = psutil.Process(person.process.pid).children(recursive=True)
        os.kill(person.process.pid, signal.SIGHUP)
        with trio.fail_after(PATIENCE):
            await person.process.wait()
        await gone(processes)
    assert sorted(log.read_text().split()) == ["child", "parent"]


async def test_a_killed_runner_hangs_up_the_commands_terminal(
    stand_in: StandIn, env: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    script = f"trap 'echo hung up > {log}; exit' HUP; echo ready; while :; do sleep 0.05; done"
    async with terminal([*RUN.split(), "sh", "-c", script], env) as person:
        await person.sees(b"ready")
        processes = psutil.Process(person.process.pid).children(recursive=True)
        person.process.kill()
        await gone(processes)
    assert log.read_text() == "hung up\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_to_the_group_arrives_once_without_a_terminal(
    stand_in: StandIn, env: dict[str, str], number: signal.Signals
) -> None:
    """As CI ends a job, and as Ctrl-C is heard where no stream is the terminal."""
    process = await trio.lowlevel.open_process(
        [*RUN.split(), *HEARS],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stderr is not None
    async with process.stderr:
        output = b""
        with trio.fail_after(PATIENCE):
            while b"ready\n" not in output:
                output += await process.stderr.receive_some()
            os.killpg(process.pid, number)
            while number.name.encode() not in output:
                output += await process.stderr.receive_some()
            process.send_signal(signal.SIGUSR1)  # what is passed on comes in order
            while more := await process.stderr.receive_some():
                output += more
            assert await process.wait() == 5
    assert heard(output) == [number.name, "SIGUSR1"]


async def test_a_background_process_outlives_it_in_a_terminal(
    stand_in: StandIn, env: dict[str, str], tmp_path: Path
) -> None:
    mark, end = tmp_path / "mark", tmp_path / "end"
    script = f"(until test -e {end}; do sleep 0.05; done; echo alive > {mark}) & echo started"
    async with terminal([*RUN.split(), "sh", "-c", script], env) as person:
        await person.sees(b"started")
        with trio.fail_after(PATIENCE):
            assert await person.process.wait() == 0
        end.touch()
        await eventually(lambda: mark.exists() and mark.read_text() == "alive\n")


async def test_open_files_and_signal_masks_are_inherited_by_the_command(
    stand_in: StandIn, env: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    look = "grep -E 'Sig(Blk|Ign)' /proc/self/status; echo told >&7"
    asked = ["bash", "-c", f"trap '' HUP; exec 7>>{log}; \"$@\"", "-"]
    alone = await piped([*asked, "sh", "-c", look], env)
    watched = await piped([*asked, *RUN.split(), "sh", "-c", look], env)
    assert watched.stdout == alone.stdout
    assert log.read_text() == "told\ntold\n"


async def test_a_script_without_a_shebang_runs_in_the_shell(
    stand_in: StandIn, env: dict[str, str], tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text("echo from the script: $1\n")
    script.chmod(0o755)
    done = await piped([*RUN.split(), str(script), "word"], env)
    assert (done.returncode, done.stdout) == (0, b"from the script: word\n")


@pytest.mark.parametrize(
    ("closed", "stdout", "stderr"),
    [("<&-", b"out\n", b"err\n"), (">&-", b"", b"err\n"), ("<&- >&- 2>&-", b"", b"")],
)
async def test_a_closed_stream_is_reused_for_no_other_file(
    stand_in: StandIn, env: dict[str, str], closed: str, stdout: bytes, stderr: bytes
) -> None:
    script = "echo out; echo err >&2; cat; exit 6"
    done = await piped(["bash", "-c", f"{RUN} sh -c '{script}' {closed}"], env)
    assert (done.returncode, done.stdout, done.stderr) == (6, stdout, stderr)
    assert sorted(stand_in.log_lines()) == ["err", "out"]
