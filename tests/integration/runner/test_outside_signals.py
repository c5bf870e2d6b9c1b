"""Signals that no key of the terminal sends: SIGCONT, a hangup, one to the whole group."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import trio

from tests.support.job_control import RUN
from tests.support.patience import PATIENCE, eventually
from tests.support.processes import lives
from tests.support.stand_in import StandIn
from tests.support.terminals import HEARS, heard, terminal


def command_of(runner: psutil.Process) -> psutil.Process:
    """Others come and go below it: where trio is imported, it runs `ldconfig`."""
    found = []
    for each in runner.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if each.cmdline() == HEARS:
                found.append(each)
    (command,) = found
    return command


async def test_a_command_continued_from_outside_continues_the_runner(
    stand_in: StandIn, env: dict[str, str]
) -> None:
    async with terminal([*RUN.split(), *HEARS], env) as person:
        await person.sees(b"ready")
        ours = psutil.Process(person.process.pid)
        command = command_of(ours)
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
        command = command_of(ours)
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
