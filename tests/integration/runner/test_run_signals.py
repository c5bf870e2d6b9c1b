"""Keys and signals reach the command of `relay run`, once each and in order."""

import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.commands import environment
from tests.support.patience import PATIENCE, eventually
from tests.support.stand_in import TOKEN, StandIn
from tests.support.terminals import HEARS, Person, heard, terminal
from tests.support.watched_runs import run


@asynccontextmanager
async def hearing(stand_in: StandIn, **given: Any) -> AsyncIterator[Person]:
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN)
    async with terminal(run(*HEARS), env, **given) as person:
        yield person


# Whatever is passed on is passed on in the order in which it came: once the command has heard a
# signal sent to us later, it has heard all that it will hear of the earlier one.
FENCE = signal.SIGUSR1


async def test_ctrl_c_reaches_the_command_once(stand_in: StandIn) -> None:
    async with hearing(stand_in) as person:
        await person.sees(b"ready")
        await person.types(b"\x03")
        await person.sees(b"heard SIGINT")
        person.process.send_signal(FENCE)
        assert await person.ended() == 5
        assert heard(person.seen) == ["SIGINT", FENCE.name]


@pytest.mark.parametrize("streams", [["stdin"], ["stdout"]])
async def test_ctrl_c_reaches_the_command_once_with_redirected_streams(
    stand_in: StandIn, streams: list[str]
) -> None:
    given = dict.fromkeys(streams, subprocess.DEVNULL)
    async with hearing(stand_in, **given) as person:
        await person.sees(b"ready")
        await person.types(b"\x03")
        await person.sees(b"heard SIGINT")
        person.process.send_signal(FENCE)
        assert await person.ended() == 5
        assert heard(person.seen) == ["SIGINT", FENCE.name]


async def test_ctrl_c_reaches_the_command_once_with_all_streams_redirected(
    stand_in: StandIn, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    with path.open("wb") as log:
        given = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        async with hearing(stand_in, **given) as person:
            await eventually(lambda: b"ready" in path.read_bytes())
            await person.types(b"\x03")
            await eventually(lambda: b"heard SIGINT" in path.read_bytes())
            person.process.send_signal(FENCE)
            assert await person.ended() == 5
    assert path.read_bytes() == b"ready\nheard SIGINT\nheard %s\n" % FENCE.name.encode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_to_the_runner_is_forwarded_once_in_a_terminal(
    stand_in: StandIn, number: signal.Signals
) -> None:
    async with hearing(stand_in) as person:
        await person.sees(b"ready")
        person.process.send_signal(number)
        await person.sees(b"heard " + number.name.encode())
        person.process.send_signal(FENCE)
        assert await person.ended() == 5
        assert heard(person.seen) == [number.name, FENCE.name]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_to_the_runner_is_forwarded_once_in_pipes(
    stand_in: StandIn, number: signal.Signals, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    with path.open("wb") as log:
        given = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        async with hearing(stand_in, **given) as person:
            await eventually(lambda: b"ready" in path.read_bytes())
            person.process.send_signal(number)
            await eventually(lambda: number.name.encode() in path.read_bytes())
            person.process.send_signal(FENCE)
            assert await person.ended() == 5
    assert heard(path.read_bytes()) == [number.name, FENCE.name]


async def test_typed_keys_and_the_window_size_reach_the_command(stand_in: StandIn) -> None:
    script = "trap 'stty size' WINCH; echo ready; while read line; do echo \"got $line\"; done"
    env = environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN)
    async with terminal(run("bash", "-c", script), env) as person:
        await person.sees(b"ready")
        await person.types(b"helo\x7flo\r")  # the line is edited as in any terminal
        await person.sees(b"got hello\r\n")
        person.resizes(50, 132)
        with trio.fail_after(PATIENCE):
            while b"50 132\r\n" not in person.seen:  # bash heeds the signal after the next line
                await person.types(b"x\r")
                with trio.move_on_after(0.5):
                    await person.sees(rb"50 132\r\n")
        await person.types(b"\x04")
        assert await person.ended() == 0
