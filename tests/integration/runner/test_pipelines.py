"""`relay run` beside other programs of one terminal: keys, stops and signals are as without it."""

import os
import shlex
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from tests.support.patience import PATIENCE, eventually
from tests.support.pipelines import (
    PROMPT,
    listed_as_stopped,
    prompted,
    relay_run,
    shell,
    started,
    starts,
    stop_key,
)
from tests.support.programs import program
from tests.support.stand_in import StandIn
from tests.support.terminals import HEARS, Person, heard

SCRIPTS = Path(__file__).parents[2] / "support" / "scripts"
PAGER = shlex.join([sys.executable, str(SCRIPTS / "pager.py")])
SURROUNDINGS = shlex.join([sys.executable, str(SCRIPTS / "surroundings.py")])
SIGNALS = shlex.join(HEARS)

Scene = Callable[[Person, str], Awaitable[object]]


async def a_pager_reads_its_own_keys(person: Person, run: str) -> object:
    await starts(person, f"{run} seq 3000 | {PAGER}", b"3000 lines")
    for key in (b"x", b"\x04", b"y"):
        await person.types(key)
        await person.sees(b"key " + key)
    await person.types(b"q")
    await person.sees(PROMPT)
    return None


async def less_reads_its_own_keys(person: Person, run: str) -> object:
    await starts(person, f"{run} seq 3000 | TERM=xterm {program('less')}", rb"\b20\b")
    await person.types(b"G")
    await person.sees(rb"\b3000\b")
    await person.types(b"q")
    await person.sees(PROMPT)
    return None


async def less_at_the_end_reads_keys_from_its_stderr(person: Person, run: str) -> object:
    before = person.manners()
    await starts(person, f"seq 3000 | TERM=xterm {run} {program('less')}", rb"\b20\b")
    await person.types(b"G")
    await person.sees(rb"\b3000\b(.|\n)*END")
    with trio.fail_after(PATIENCE):
        while b"Stopped" not in person.seen:  # less heeds it with the next key, if it comes early
            with trio.move_on_after(1):
                await stop_key(person)
    assert b"\r\nicanon\r\n" in await prompted(person, "echo; stty -a | tr ' ' '\\n'; echo")
    await starts(person, "fg", rb"\b3000\b")
    await person.types(b"g")
    await person.sees(rb"\D2\r?\n")
    await person.types(b"q")
    await person.sees(PROMPT)
    return person.manners() == before


async def it_reads_what_is_typed(person: Person, run: str) -> object:
    await starts(person, f"{run} cat | cat")
    await person.types(b"helo\x7flo\r")
    await person.sees(rb"hello\r\n")
    await person.types(b"\x04")
    await person.sees(PROMPT)
    return await prompted(person, "echo $?")


async def ctrl_c_reaches_all_once(person: Person, run: str) -> object:
    job = await started(person, f"{run} {SIGNALS} | cat", b"ready")
    await person.types(b"\x03")
    await person.sees(b"heard SIGINT")
    job.first.send_signal(signal.SIGUSR1)  # what is forwarded comes in order
    await person.sees(PROMPT)
    return heard(person.seen)


async def ctrl_c_ends_it(person: Person, run: str) -> object:
    await starts(person, f"{run} sh -c 'echo ready >&2; read x' | cat", b"ready\r\n")
    await person.types(b"\x03")
    await person.sees(PROMPT)
    return await prompted(person, "echo ${PIPESTATUS[0]}")


async def ctrl_z_stops_all_and_fg_continues_all(person: Person, run: str) -> object:
    job = await started(person, f"{run} {SIGNALS} | tee /dev/null", b"ready")
    shown = []
    for _ in range(2):
        await stop_key(person)
        assert job.is_stopped()
        shown.append(b"Stopped (" in await prompted(person, "jobs -l"))
        await starts(person, "fg", b"heard SIGCONT")
    job.first.send_signal(signal.SIGUSR1)
    await person.sees(PROMPT)
    return shown, heard(person.seen)


async def bg_continues_it_and_its_keys_are_the_shells(person: Person, run: str) -> object:
    job = await started(person, f"{run} {SIGNALS} | cat", b"ready")
    await stop_key(person)
    await prompted(person, "bg")
    await person.sees(b"heard SIGCONT")
    assert b"shell\r\n" in await prompted(person, "echo sh''ell")
    assert not job.is_stopped()
    await starts(person, "fg", b"cat\r\n")
    job.first.send_signal(signal.SIGUSR1)
    await person.sees(b"heard SIGUSR1")
    await person.sees(PROMPT)
    return heard(person.seen)


async def reading_in_the_background_stops_it(person: Person, run: str) -> object:
    await prompted(person, f"{run} cat | cat &")
    listed = await listed_as_stopped(person)
    await starts(person, "fg", b"cat\r\n")
    await person.types(b"typed\r")
    await person.sees(rb"typed\r\ntyped\r\n")
    await person.types(b"\x04")
    await person.sees(PROMPT)
    return b"Stopped (tty input)" in listed


async def writing_in_the_background_stops_it(person: Person, run: str) -> object:
    await prompted(person, "stty tostop")
    await prompted(person, f"{run} sh -c 'echo written >&2' | cat &")
    listed = await listed_as_stopped(person)
    await prompted(person, "stty -tostop")
    await starts(person, "fg", b"written\r\n")
    await person.sees(PROMPT)
    return b"Stopped (tty output)" in listed


async def a_command_that_ignores_ctrl_z_goes_on(person: Person, run: str) -> object:
    script = 'trap "" TSTP; echo ready >&2; read x; echo read $x >&2; exit 3'
    job = await started(person, f"{run} sh -c {shlex.quote(script)} | cat", b"ready\r\n")
    await person.types(b"\x1aword\r")
    await person.sees(b"read word")
    await person.sees(rb"Stopped(.|\n)*" + PROMPT)  # `cat`, which is left
    gone = not job.first.is_running()
    await starts(person, "fg", b"cat\r\n")
    await person.sees(PROMPT)
    return gone, await prompted(person, "echo ${PIPESTATUS[0]}")


async def stopped_alone_it_stops_and_continues(person: Person, run: str) -> object:
    job = await started(person, f"{run} {SIGNALS} | cat", b"ready")
    job.first.send_signal(signal.SIGTSTP)
    await eventually(job.first_is_stopped)
    job.first.send_signal(signal.SIGCONT)
    await person.sees(b"heard SIGCONT")
    job.first.send_signal(signal.SIGUSR1)
    await person.sees(b"heard SIGUSR1")
    return heard(person.seen)


async def a_signal_to_it_alone_arrives_once(person: Person, run: str) -> object:
    job = await started(person, f"{run} {SIGNALS} | cat", b"ready")
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        job.first.send_signal(number)
        await person.sees(b"heard " + number.name.encode())
    job.first.send_signal(signal.SIGUSR1)
    await person.sees(PROMPT)
    return heard(person.seen)


async def a_hang_up_of_the_job_arrives_once(person: Person, run: str) -> object:
    job = await started(person, f"{run} {SIGNALS} | (trap '' HUP; cat)", b"ready")
    os.killpg(job.group, signal.SIGHUP)
    await person.sees(b"heard SIGHUP")
    job.first.send_signal(signal.SIGUSR1)
    await person.sees(PROMPT)
    return heard(person.seen)


async def attributes_set_through_stderr_are_the_terminals(person: Person, run: str) -> object:
    script = "stty -echo <&2; echo hidden >&2; read x; stty echo <&2"
    await starts(person, f"{run} sh -c {shlex.quote(script)} | cat", b"hidden\r\n")
    echoes = person.manners()
    await person.types(b"secret\r")
    await person.sees(PROMPT)
    return echoes, person.manners(), b"secret" in person.seen


async def it_gets_the_window_size(person: Person, run: str) -> object:
    job = await started(person, f"{run} {SURROUNDINGS} again | cat", b"; no terminal; 24x80 .*\n")
    person.resizes(44, 111)
    await person.sees(b"; no terminal; 44x111 .*\n")
    last = person.seen.splitlines()[-1]
    os.killpg(job.group, signal.SIGKILL)
    await person.sees(PROMPT)
    return last


SCENES = [
    a_pager_reads_its_own_keys,
    less_reads_its_own_keys,
    less_at_the_end_reads_keys_from_its_stderr,
    it_reads_what_is_typed,
    ctrl_c_reaches_all_once,
    ctrl_c_ends_it,
    ctrl_z_stops_all_and_fg_continues_all,
    bg_continues_it_and_its_keys_are_the_shells,
    reading_in_the_background_stops_it,
    writing_in_the_background_stops_it,
    a_command_that_ignores_ctrl_z_goes_on,
    stopped_alone_it_stops_and_continues,
    a_signal_to_it_alone_arrives_once,
    a_hang_up_of_the_job_arrives_once,
    attributes_set_through_stderr_are_the_terminals,
    it_gets_the_window_size,
]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
async def test_a_pipeline_is_as_without_relay(stand_in: StandIn, scene: Scene) -> None:
    found = []
    for run in ("", relay_run("--wait", "3600")):
        async with shell(stand_in) as person:
            found.append(await scene(person, run))
    assert found[1] == found[0]


async def test_a_stopped_task_goes_on_when_it_continues(stand_in: StandIn) -> None:
    async with shell(stand_in) as person:
        await starts(person, f"{relay_run('--wait', '3600')} cat | tee /dev/null")
        await person.types(b"before\r")
        await person.sees(rb"before\r\nbefore\r\n")
        await stop_key(person)
        await starts(person, "fg", b"tee /dev/null\r\n")
        await person.types(b"after\r\x04")
        await person.sees(PROMPT)
    assert stand_in.log_lines() == ["before", "after"]
    assert stand_in.events[-1]["event_type"] == "task_succeeded"
