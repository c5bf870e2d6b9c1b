"""`relay tail` in a real terminal, as SVG: small, sharp, and its words can be selected."""

import io
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import trio
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from tests.support.commands import RELAY, environment
from tests.support.relay_process import Program
from tests.support.terminals import piped, terminal

ROWS, COLUMNS = 40, 92
COMMANDS = (
    (
        "Build lighthouse",
        "for part in core journal wire auth; do echo compiled $part; sleep .2; done",
    ),
    (
        "Agent: fix the flaky upload test",
        "echo read tests/upload_test.py; sleep 1; echo edit app/upload.py +6 -2; sleep 60",
    ),
    ("Deploy to staging", "echo image pushed; sleep .7; echo 503 GET /readyz; exit 1"),
    (
        "Train tide-forecast",
        "for n in 1 2 3 4 5 6 7; do echo Epoch $n/10; sleep .7; done; sleep 60",
    ),
)
THEN = rb" 70%"  # the moment
PAPER = TerminalTheme(  # the page's own colours in the dark
    (0x16, 0x1B, 0x19),
    (0xE5, 0xEB, 0xE7),
    [
        *((0x0F, 0x13, 0x12), (0xFF, 0x95, 0x8F), (0x6B, 0xCB, 0x9F), (0xE3, 0xB8, 0x66)),
        *((0xA5, 0xB0, 0xFF), (0xDD, 0x9F, 0xE6), (0x6F, 0xCB, 0xD1), (0xE5, 0xEB, 0xE7)),
    ],
)
FOREIGN = re.compile(r"@font-face\s*{[^}]*}")  # fonts from another host: any monospace does
MOVES = re.compile(r"\x1b\[(?P<rows>\d*)A|(?P<erased>\x1b\[2?K)|(?P<down>\n)|\r|\x1b\[\?\d+[hl]")


async def take(relay: Program, path: Path) -> None:
    """Commands are watched at once; the picture is of a moment when some of them go on."""
    with TemporaryDirectory() as home:
        places = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"), home)
        env = environment(**places, TZ="UTC", TERM="xterm-256color", COLORTERM="truecolor")
        entered = await piped([*RELAY, "login", relay.url], env)
        assert entered.returncode == 0, entered.stderr
        async with terminal([*RELAY, "tail"], env, size=(ROWS, COLUMNS)) as person:
            await person.sees(rb"live at")
            async with trio.open_nursery() as nursery:
                for title, script in COMMANDS:
                    command = [*RELAY, "run", "--title", title, "--", "sh", "-c", script]
                    nursery.start_soon(piped, command, env)
                    await person.sees(title.encode())
                await person.sees(THEN)
                nursery.cancel_scope.cancel()
            await person.sees(rb"live at[^\n]*$")  # the frame is whole
            await trio.Path(path).write_text(drawn(standing(person.seen.decode())))


def drawn(lines: list[str]) -> str:
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for line in ("$ relay tail", *lines):
        console.print(Text.from_ansi(line), soft_wrap=True)
    return FOREIGN.sub("", console.export_svg(title="relay tail", theme=PAPER))


def standing(output: str) -> list[str]:
    """The lines on the terminal after all that: rich writes whole lines, and over erased ones."""
    lines, row, at = [""], 0, 0
    for move in MOVES.finditer(output):
        lines[row] += output[at : move.start()]
        at = move.end()
        if move["down"]:
            row += 1
            lines += [""] * (row == len(lines))
        elif move["rows"] is not None:
            row -= int(move["rows"] or 1)
        elif move["erased"]:
            lines[row] = ""
    lines[row] += output[at:]
    return lines
