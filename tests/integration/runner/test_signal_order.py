"""Signals to `relay run` in a pipeline at moments that are hard to hit."""

import shlex
import signal
import sys
from pathlib import Path

import pytest

from relay.runner.leader_protocol import LeaderRequest
from tests.support.patience import eventually
from tests.support.pipelines import PROMPT, shell, started
from tests.support.stand_in import StandIn
from tests.support.terminals import HEARS, heard

# The runner comes to its SIGINT only when the command has ended of its own.
LATE_SIGNALS = """
import os, psutil, signal, sys, time
from relay.cli import main, run
on_signal = run._on_signal
def late(watched, recorder, number, sent):
    while number == signal.SIGINT and not watched.has_ended:
        time.sleep(0.01)
    on_signal(watched, recorder, number, sent)
run._on_signal = late
"""

# A SIGINT to the group ends the command while the leader, woken by a request, looks after it.
ENDED_MEANWHILE = """
from relay.runner.leader_process import LeaderProcess
collect_changes = LeaderProcess._collect_changes
def after_its_end(leader):
    os.killpg(os.getpgrp(), signal.SIGINT)
    while psutil.Process(leader._command).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    collect_changes(leader)
LeaderProcess._collect_changes = after_its_end
"""


def run_with(*changes: str) -> str:
    """`relay run` with these changes of its program."""
    changed = "".join([*changes, "main.main()"])
    return shlex.join([sys.executable, "-c", changed, "run", "--wait", "3600", "--"])


@pytest.mark.parametrize("known_of", ["before its end", "with its end"])
async def test_ctrl_c_that_ended_the_command_does_not_end_the_wait_for_relay(
    stand_in: StandIn, known_of: str
) -> None:
    stand_in.open.clear()
    by_key = known_of == "before its end"
    relay = run_with(LATE_SIGNALS) if by_key else run_with(LATE_SIGNALS, ENDED_MEANWHILE)
    async with shell(stand_in) as person:
        job = await started(person, f"{relay} sh -c 'echo ready >&2; read x' | cat", b"ready\r\n")
        leader = job.leader()
        if by_key:
            await person.types(b"\x03")
        else:
            leader.send_signal(LeaderRequest.CONTINUE_COMMAND)
        await eventually(lambda: not leader.is_running())
        stand_in.open.set()
        await person.sees(PROMPT)
    assert stand_in.events[-1]["payload"]["exit_code"] == 130


# The runner, and it alone, gets a SIGTSTP between its last instruction and its wait: between the
# two calls no handler of Python's can run.
JUST_BEFORE_THE_WAIT = """
import ctypes, operator, os, select, signal, time
from functools import partial
from types import SimpleNamespace
from relay.cli import main
from relay.runner import handler_wakeup
kill = partial(ctypes.CDLL(None).kill, os.getpid(), signal.SIGTSTP)
def stop_and_wait(*files):
    while not os.path.exists({mark!r}):
        time.sleep(0.01)
    handler_wakeup.select = select
    return list(map(operator.call, [kill, partial(select.select, *files)]))[1]
handler_wakeup.select = SimpleNamespace(select=stop_and_wait)
"""


async def test_a_stop_key_just_before_the_runner_waits_stops_it(
    stand_in: StandIn, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    relay = run_with(JUST_BEFORE_THE_WAIT.format(mark=str(mark)))
    async with shell(stand_in) as person:
        job = await started(person, f"{relay} {shlex.join(HEARS)} | cat", rb"ready\r\n")
        mark.touch()
        await eventually(job.first_is_stopped)
        job.first.send_signal(signal.SIGCONT)
        await person.sees(b"heard SIGCONT")
        job.first.send_signal(signal.SIGUSR1)
        await person.sees(PROMPT)
    assert heard(person.seen) == ["SIGCONT", "SIGUSR1"]
