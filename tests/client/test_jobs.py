"""`relay run` as a job of a shell: stopped by a key, continued, in the background, hung up."""

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
import trio

from tests.client.stand_in import TOKEN, StandIn
from tests.client.terminals import Person, piped, terminal
from tests.ground.commands import RELAY, environment
from tests.support.programs import program

PROMPT = b"ready> "
RUN = " ".join([*RELAY, "run", "--"])

# Says what it hears, and how often.
COUNTS = """
import signal, sys, time
heard = []
def hear(number, frame):
    heard.append(signal.Signals(number).name)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCONT):
    signal.signal(number, hear)
print("ready", flush=True)
while not set(heard) - {"SIGCONT"}: time.sleep(0.01)
time.sleep(0.5)
print("heard", *heard, flush=True)
"""


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
async def test_ctrl_z_stops_it_and_fg_goes_on(
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


async def test_what_began_in_the_background_comes_to_the_front(
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


async def test_stopped_and_continued_in_the_background_it_leaves_the_keys_to_the_shell(
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


async def test_a_whole_pipeline_stops_and_the_windows_size_of_meanwhile_is_told(
    stand_in: StandIn, env: dict[str, str]
) -> None:
    async with shell(env) as person:
        command = "sh -c \"echo be''gun; while read x; do stty size; done\""
        await person.types(f"{RUN} {command} | cat\r".encode())
        await person.sees(b"begun")
        await person.types(b"\x1a")
        await person.sees(b"Stopped")
        person.resizes(44, 111)
        await person.types(b"fg\r")
        await person.passes_keys_on()
        await person.types(b"\r")
        await person.sees(b"44 111")
        await person.types(b"\x04")
        await person.sees(PROMPT)


async def test_where_no_shell_could_continue_it_ctrl_z_stops_nothing(
    stand_in: StandIn, env: dict[str, str]
) -> None:
    async with terminal([*RUN.split(), "cat"], env) as person:
        stand_in.was_asked()
        await person.types(b"one\r")
        await person.sees(rb"one\r\none\r\n")
        await person.types(b"\x1a")
        await trio.sleep(0.2)
        await person.types(b"two\r\x04")
        await person.sees(rb"two\r\ntwo\r\n")
        assert await person.ended() == 0


async def test_keys_reach_it_and_a_pipe_before_it_stays_a_pipe(
    stand_in: StandIn, env: dict[str, str]
) -> None:
    """stdin is none: the kernel tells us of the key, and the command's terminal is another."""
    async with shell(env) as person:
        await person.types(f"(sleep 9; echo x) | {RUN} {sys.executable} -c '{COUNTS}'\r".encode())
        await person.sees(rb"ready\r\n")
        await person.types(b"\x1a")
        await person.sees(b"Stopped")
        await person.types(b"fg\r")
        await person.sees(rb"fg\r\n(.|\n)*\n")
        await trio.sleep(0.3)
        await person.types(b"\x03")
        await person.sees(rb"heard (SIGCONT )*SIGINT\r\n")


async def test_a_terminal_that_is_closed_hangs_all_of_it_up(
    stand_in: StandIn, env: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    script = f"(trap 'echo child >> {log}; exit' HUP; echo ready; while :; do sleep 0.05; done)"
    both = f"trap 'echo parent >> {log}' HUP; {script}; wait"
    async with terminal([*RUN.split(), "sh", "-c", both], env) as person:
        await person.sees(b"ready")
        processes = psutil.Process(person.process.pid).children(recursive=True)
        os.kill(person.process.pid, signal.SIGHUP)
        with trio.fail_after(20):
            await person.process.wait()
    assert sorted(log.read_text().split()) == ["child", "parent"]
    _, alive = psutil.wait_procs(processes, 5)
    assert alive == []


async def test_when_we_are_killed_the_command_hears_that_its_terminal_is_gone(
    stand_in: StandIn, env: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    script = f"trap 'echo hung up > {log}; exit' HUP; echo ready; while :; do sleep 0.05; done"
    async with terminal([*RUN.split(), "sh", "-c", script], env) as person:
        await person.sees(b"ready")
        processes = psutil.Process(person.process.pid).children(recursive=True)
        person.process.kill()
        _, alive = await trio.to_thread.run_sync(psutil.wait_procs, processes, 10)
        assert alive == []
    assert log.read_text() == "hung up\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_to_the_group_is_heard_once_without_a_terminal(
    stand_in: StandIn, env: dict[str, str], number: signal.Signals
) -> None:
    """As CI ends a job, and as Ctrl-C is heard where no stream is the terminal."""
    process = await trio.lowlevel.open_process(
        [*RUN.split(), sys.executable, "-c", COUNTS],
        env=env,
        stdin=-3,
        stdout=-1,
        stderr=-3,
        start_new_session=True,
    )
    assert process.stdout is not None
    async with process.stdout:
        said = b""
        with trio.fail_after(20):
            while b"ready\n" not in said:
                said += await process.stdout.receive_some()
            os.killpg(process.pid, number)
            while more := await process.stdout.receive_some():
                said += more
            assert said.decode() == f"ready\nheard {number.name}\n"
            assert await process.wait() == 0


async def test_a_background_process_outlives_it_in_a_terminal(
    stand_in: StandIn, env: dict[str, str], tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    script = f"(sleep 0.7; echo alive > {mark}) & echo started"
    async with terminal([*RUN.split(), "sh", "-c", script], env) as person:
        assert await person.ended() == 0
        assert b"started" in person.seen
        with trio.fail_after(20):
            while not (mark.exists() and mark.read_text()):  # noqa: ASYNC110 - a file
                await trio.sleep(0.05)


async def test_open_files_and_what_is_blocked_or_ignored_are_the_commands_too(
    stand_in: StandIn, env: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    look = "grep -E 'Sig(Blk|Ign)' /proc/self/status; echo told >&7"
    asked = ["bash", "-c", f"trap '' HUP; exec 7>>{log}; \"$@\"", "-"]
    alone = await piped([*asked, "sh", "-c", look], env)
    watched = await piped([*asked, *RUN.split(), "sh", "-c", look], env)
    assert watched.stdout == alone.stdout
    assert log.read_text() == "told\ntold\n"


async def test_a_script_that_names_no_interpreter_is_the_shells(
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
async def test_a_closed_stream_becomes_nobody_elses(
    stand_in: StandIn, env: dict[str, str], closed: str, stdout: bytes, stderr: bytes
) -> None:
    script = "echo out; echo err >&2; cat; exit 6"
    done = await piped(["bash", "-c", f"{RUN} sh -c '{script}' {closed}"], env)
    assert (done.returncode, done.stdout, done.stderr) == (6, stdout, stderr)
    assert sorted(stand_in.said()) == ["err", "out"]
