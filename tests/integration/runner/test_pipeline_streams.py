"""What a command and its neighbours in a pipeline find at their streams, as without Relay."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from tests.support.commands import RELAY, environment
from tests.support.patience import PATIENCE
from tests.support.stand_in import TOKEN, StandIn
from tests.support.terminals import terminal

SCRIPT = Path(__file__).parents[2] / "support" / "scripts" / "surroundings.py"
SURROUNDINGS = shlex.join([sys.executable, str(SCRIPT)])
RUN = shlex.join([*RELAY, "run", "--wait", "3600", "--"])


def relay_env(stand_in: StandIn) -> dict[str, str]:
    return environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN, TERM="dumb")


STREAMS = {
    "stdout to cat": "{} | cat",
    "both to cat": "{} 2>&1 | cat",
    "stdin from a pipe": "sleep 0.3 | {}",
    "stdin from a file": "{} </dev/null",
    "stdin from a file, stdout to cat": "{} </dev/null | cat",
    "in the background": "{} </dev/null | cat & wait",
    "nothing is the terminal": "{} </dev/null 2>&1 | cat",
    "the terminal": "{}",
}


@pytest.mark.parametrize("streams", STREAMS)
async def test_the_command_finds_the_terminal_that_is_there(
    stand_in: StandIn, streams: str
) -> None:
    """Which streams are terminals, their sizes and attributes, and whether keys are for it."""
    found = []
    for run in ("", RUN):
        line = STREAMS[streams].format(f"{run} {SURROUNDINGS}")
        async with terminal(["bash", "-c", line], relay_env(stand_in)) as person:
            assert await person.ended() == 0
            found.append(person.seen)
    assert found[1] == found[0]


async def test_the_reader_of_stdout_sees_its_end_while_relay_is_waited_for(
    stand_in: StandIn,
) -> None:
    stand_in.open.clear()
    with trio.fail_after(PATIENCE):
        process = await trio.lowlevel.open_process(
            [*RELAY, "run", "--wait", "3600", "--", "echo", "all"],
            env=relay_env(stand_in),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout is not None
        async with process.stdout:
            assert b"".join([block async for block in process.stdout]) == b"all\n"
        assert process.poll() is None
        stand_in.open.set()
        assert await process.wait() == 0


async def test_the_writer_of_stdin_sees_when_the_command_reads_no_more(
    stand_in: StandIn, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    script = f"exec <&-; until test -e {mark}; do sleep 0.05; done; echo seen"
    line = f"(yes; touch {mark}) | {RUN} sh -c {shlex.quote(script)}"
    async with terminal(["bash", "-c", line], relay_env(stand_in)) as person:
        await person.sees(rb"seen\r\n")
        assert await person.ended() == 0


# Ends when nothing reads its stdout, without a write of its own.
WATCHES_STDOUT = """
import select, sys
poll = select.poll()
poll.register(1, 0)
print("ready", flush=True)
poll.poll()
sys.exit(7)
"""


async def test_the_command_sees_when_its_output_has_no_reader(stand_in: StandIn) -> None:
    command = shlex.join([sys.executable, "-c", WATCHES_STDOUT])
    line = f"{RUN} {command} | head -n 1; echo ${{PIPESTATUS[0]}}"
    async with terminal(["bash", "-c", line], relay_env(stand_in)) as person:
        await person.ended()
        assert person.seen == b"ready\r\n7\r\n"
