"""Signals to `relay run` in a pipeline at moments that are hard to hit."""

import shlex
import sys

from tests.support.patience import eventually
from tests.support.pipelines import PROMPT, shell, started
from tests.support.stand_in import StandIn

# The runner comes to its SIGINT only when the command has ended of its own.
LATE_SIGNALS = """
import signal, sys, time
from relay.cli import main, run
on_signal = run._on_signal
def late(watched, recorder, number, sent):
    while number == signal.SIGINT and not watched.has_ended:
        time.sleep(0.01)
    on_signal(watched, recorder, number, sent)
run._on_signal = late
"""


def run_with(*changes: str) -> str:
    """`relay run` with these changes of its program."""
    changed = "".join([*changes, "main.main()"])
    return shlex.join([sys.executable, "-c", changed, "run", "--wait", "3600", "--"])


async def test_ctrl_c_that_ended_the_command_does_not_end_the_wait_for_relay(
    stand_in: StandIn,
) -> None:
    stand_in.open.clear()
    relay = run_with(LATE_SIGNALS)
    async with shell(stand_in) as person:
        job = await started(person, f"{relay} sh -c 'echo ready >&2; read x' | cat", b"ready\r\n")
        leader = job.leader()
        await person.types(b"\x03")
        await eventually(lambda: not leader.is_running())
        stand_in.open.set()
        await person.sees(PROMPT)
    assert stand_in.events[-1]["payload"]["exit_code"] == 130
