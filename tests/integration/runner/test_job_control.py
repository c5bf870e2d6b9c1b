"""`relay run` as a job of a shell: stopped by a key, continued, in the background."""

import signal
from pathlib import Path

import psutil
import pytest

from tests.support.job_control import RUN, shell
from tests.support.pipelines import PROMPT
from tests.support.stand_in import StandIn
from tests.support.terminals import HEARS, Person, heard, terminal


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
