"""A terminal that others write to as well shows the same bytes with `relay run` as without."""

import shlex
import signal
import sys
import termios
from pathlib import Path

import pytest

from tests.support.commands import RELAY, environment
from tests.support.patience import eventually
from tests.support.stand_in import TOKEN, StandIn
from tests.support.terminals import terminal

OUTPUT = 1  # the place of the output flags in termios' list

LINES = "echo one; echo two; sleep 0.2; printf 'three\\r\\nfour\\n'"
BAR = "for n in 1 2 3; do printf '%s0%%\\r' $n; sleep 0.1; done; echo done"
RAW = (
    "stty raw {0}; printf 'down\\ndown\\r\\n' >&2; until [ -e {1} ]; do sleep 0.05; done;"
    " stty sane {0}; echo up >&2"
)
MUCH = "seq 3000"
CRASH = "printf 'last\\033[?1049h\\033[Hpain'; sleep 0.1; printf 'ted'; exit 9"

# {} is the command: `sh -c …`, bare or below `relay run`.
PLACES = {
    "the terminal": "{}",
    "stdout to tee": "{} | tee /dev/null",
    "both to tee": "{} 2>&1 | tee /dev/null",
    "both to cat": "{} 2>&1 | cat",
    "stdout to grep": "{} | grep --line-buffered .",
    "stderr elsewhere": "{} 2> /dev/null",
    "stderr to cat": "{{ {} 2>&1 >&3 | cat; }} 3>&1",
    "stdin from a file": "{} < /dev/null",
    "stdin from a file, stdout to tee": "{} < /dev/null | tee /dev/null",
    "both to a file": "{} > /dev/null 2>&1; echo ended",
    "without an echo": "stty -echo; {} | tee /dev/null; stty echo",
    "output not processed": "stty -opost; {} | tee /dev/null; stty opost",
    "no CR at line ends": "stty -onlcr; {}; stty onlcr",
}


def relay_env(stand_in: StandIn) -> dict[str, str]:
    return environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN, TERM="xterm")


def under_relay(script: str) -> str:
    return shlex.join([*RELAY, "run", "--wait", "3600", "--", "sh", "-c", script])


@pytest.mark.parametrize("place", PLACES)
async def test_the_terminal_shows_the_same_bytes(stand_in: StandIn, place: str) -> None:
    """Of lines, bars and much at once, and of a program that ends in the alternate screen."""
    script = "; ".join([LINES, BAR, MUCH, CRASH])
    shown = []
    for command in (shlex.join(["sh", "-c", script]), under_relay(script)):
        line = PLACES[place].format(command)
        async with terminal(["sh", "-c", line], relay_env(stand_in)) as person:
            code = await person.ended()
            assert person.manners() == person.first_manners
            shown.append((code, person.seen))
    assert shown[1] == shown[0]
    assert stand_in.events[-1]["payload"]["exit_code"] == 9


@pytest.mark.parametrize("through", ["", "<&2"], ids=["stdin", "stderr"])
@pytest.mark.parametrize("place", ["the terminal", "stdout to tee"])
async def test_a_program_that_makes_its_terminal_raw_writes_as_it_means(
    stand_in: StandIn, place: str, through: str, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    raw = RAW.format(through, seen)
    shown = []
    for command in (shlex.join(["sh", "-c", raw]), under_relay(raw)):
        line = PLACES[place].format(command)
        async with terminal(["sh", "-c", line], relay_env(stand_in)) as person:
            await person.sees(b"down\ndown\r\n")
            seen.touch()
            await person.ended()
            shown.append(person.seen)
        seen.unlink()
    assert b"down\ndown\r\nup\r\n" in shown[0]
    assert shown[1] == shown[0]


async def test_a_background_neighbour_writes_whole_lines(stand_in: StandIn) -> None:
    line = f"(sleep 0.5; echo neighbour) & {under_relay('echo started; read _')}"
    async with terminal(["sh", "-c", line], relay_env(stand_in)) as person:
        await person.sees(b"started\r\n")
        await person.sees(b"neighbour\r\n")
        await person.types(b"\r")
        assert await person.ended() == 0


async def test_a_killed_runner_leaves_the_output_of_the_terminal_as_it_was(
    stand_in: StandIn,
) -> None:
    command = [*RELAY, "run", "--", sys.executable, "-c", "print('started'); input()"]
    async with terminal(command, relay_env(stand_in)) as person:
        output = person.manners()[OUTPUT]
        await person.sees(b"started\r\n")
        await person.passes_keys_on()
        person.process.send_signal(signal.SIGKILL)
        await eventually(lambda: person.process.poll() is not None)
        assert person.manners()[OUTPUT] == output
        assert output & termios.OPOST
