"""Lines that are written over are read as a terminal shows them."""

import io
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.progress import Progress
from tqdm import tqdm

from relay.runner.alternate_screen import LAST_LINES
from relay.runner.lines import QUIET_SECONDS, REDRAW_SECONDS, LineSplitter
from relay.runner.progress import LatestProgress, progress_of_bars
from relay.runner.redaction import Mask
from relay.runner.screen import Screen
from relay.runner.superseded import without_superseded
from tests.support.examples import examples

NO_SECRETS = Mask(())


def read(blocks: list[bytes]) -> tuple[list[str], list[float]]:
    """The lines and the progress that are sent."""
    lines, sent, fractions = LineSplitter(NO_SECRETS), [], []
    latest = LatestProgress()
    reads: list[Callable[[], tuple[str | None, str | None]]] = [
        *(partial(lines.feed, block, 0.0) for block in blocks),
        lines.end,
    ]
    for read_next in reads:
        text, bars = read_next()
        if text is not None:
            sent += text.split("\n")
        found = None if bars is None else progress_of_bars(bars)
        if (progress := latest.take(found, lines.unfinished, 0.0)) is not None:
            fractions.append(progress.fraction)
    return sent, fractions


def in_pieces(text: bytes, size: int) -> list[bytes]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        (b" 10%\r 50%\r100%\n", ["100%"]),
        (b"long line\rshort\n", ["shortline"]),
        (b"long line\r\x1b[Kshort\n", ["short"]),
        (b"\x1b[2K\x1b[1G10% done\x1b[2K\x1b[1G100% done\n", ["100% done"]),
        (b"|\b/\b-\b\\\b|\b/\b-\bdone\n", ["done"]),
        (b"Password: \b\b: ok\n", ["Password: ok"]),
        (b"bar 1\n\x1b[Abar 2\n\x1b[Abar 3\n", ["bar 1", "bar 3"]),
        (b"a\nb\n\x1b[2F\x1b[2KA\n\x1b[2KB\nc\n", ["a", "b", "A", "B", "c"]),
        (b"a 1\r\nb 1\x1b[1F\x1b[2Ka 2\r\n\x1b[2Kb 2\r\nc\r\n", ["a 1", "a 2", "b 2", "c"]),
        (b"cleared         \r                \r", []),
        (b"bar\r\x1b[2Kplain\nplain\n\n\nplain\n", ["plain", "plain", "", "", "plain"]),
        (b"\x1b[31mred\x1b[0m\r\x1b[32mgreen\x1b[0m\n", ["\x1b[32mgreen\x1b[0m"]),
        (b"\x1b[1;31mab\x1b[0mcd\rA\n", ["A\x1b[1;31mb\x1b[0mcd"]),
        (b"old\x1b[H\x1b[2Jnew\nnext\n", ["old", "new", "next"]),
        (b"tab\tstop\rTAB\n", ["TAB\tstop"]),
        (b"\x1b[?25lhidden\r\x1b[?25hshown!\n", ["shown!"]),
        (b"plain\r\r\nlines\r\n", ["plain", "lines"]),
        (b"ends without\x1b[1Gstarts", ["startsithout"]),
    ],
)
def test_the_last_frame_stays(printed: bytes, shown: list[str], size: int) -> None:
    assert read(in_pieces(printed, size))[0] == shown


@pytest.mark.parametrize("size", [50, 100, 10_000])
def test_nested_bars_are_a_few_lines(size: int) -> None:
    output = io.StringIO()
    given = {"file": output, "mininterval": 0, "ncols": 60}
    for _ in tqdm(range(3), desc="epochs", **given):
        for _ in tqdm(range(30), desc="batches", position=1, **given):
            pass
    lines, fractions = read(in_pieces(output.getvalue().encode(), size))
    assert [re.sub(r"%.*", "%", line) for line in lines] == [
        "epochs:   0%",  # printed before the cursor first went up
        *["batches: 100%"] * 3,
        "epochs: 100%",
    ]
    assert fractions[-1] == 1.0


class Writes(io.StringIO):
    """Keeps what was written at once."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[bytes] = []

    def write(self, text: str) -> int:
        self.blocks.append(text.encode())
        return len(text)


@pytest.mark.parametrize("joined", [1, 2, 3, 10, 1_000])
@pytest.mark.parametrize(
    "inner", [{"position": 1}, {"leave": False}, {"position": 1, "leave": False}, {}], ids=str
)
def test_of_nested_bars_the_outermost_counts(inner: dict[str, Any], joined: int) -> None:
    output = Writes()
    given = {"file": output, "mininterval": 0, "ncols": 60}
    for _ in tqdm(range(3), desc="epochs", **given):
        for _ in tqdm(range(30), desc="batches", **given, **inner):
            pass
    blocks = output.blocks
    read_at_once = [b"".join(blocks[at : at + joined]) for at in range(0, len(blocks), joined)]
    _, fractions = read(read_at_once)
    assert fractions == sorted(fractions)
    assert {*fractions} <= {0.0, 0.33, 0.67, 1.0}
    assert fractions[-1] == 1.0


@pytest.mark.parametrize("size", [50, 300, 100_000])
def test_tasks_side_by_side_are_a_few_lines(size: int) -> None:
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=60)
    with Progress(console=console, auto_refresh=False) as progress:
        one, two = (progress.add_task(name, total=20) for name in ("one", "two"))
        for number in range(20):
            progress.advance(one)
            progress.advance(two)
            progress.refresh()
            if number in (5, 12):
                console.print(f"plain {number}")
    console.print("after")
    lines, fractions = read(in_pieces(output.getvalue().encode(), size))
    shown = [re.sub(r"\x1b\[[\d;]*m|━|╸|╺", "", line) for line in lines]
    assert [line for line in shown if not line.startswith(("one   0%", "one    0%"))] == [
        "plain 5",
        "plain 12",
        "one  100% 0:00:00",
        "two  100% 0:00:00",
        "after",
    ]
    assert fractions[-1] == 1.0


def test_lines_after_bars_are_sent_soon() -> None:
    lines = LineSplitter(NO_SECRETS)
    assert lines.feed(b"a\nb\n\x1b[2A\x1b[2KA\n\x1b[2KB\nplain\n", 0.0)[0] == "a\nb\nA"
    assert lines.unfinished
    assert lines.quiet(QUIET_SECONDS) is None
    assert lines.quiet(REDRAW_SECONDS) == "B\nplain"
    assert not lines.unfinished
    assert lines.feed(b"next\n", 9.0) == ("next", None)


def test_bars_that_pause_stay_bars() -> None:
    lines = LineSplitter(NO_SECRETS)
    lines.feed(b"outer\n\rinner 1\x1b[A", 0.0)
    assert lines.quiet(100 * REDRAW_SECONDS) is None
    assert lines.feed(b"\n\rinner 2\x1b[A", 0.0) == (None, "inner 2")
    assert lines.end()[0] == "inner 2"


def test_what_waits_is_bounded() -> None:
    lines = LineSplitter(NO_SECRETS)
    for _ in range(1_000):
        lines.feed(b"\x1b[999A\x1b[999B\x1b[999C\x1b[999999Gx\n", 0.0)
    assert len(lines._screen._rows) <= 300
    sent = [lines.feed(b"\r" + b"y" * 10_000, 0.0)[0] for _ in range(5)]
    assert sent == [None] * 5
    sent = [lines.feed(b"y" * 10_000, 0.0)[0] for _ in range(5)]
    assert sum(len(text) for text in sent if text) >= 30_000


def as_a_grid(text: str) -> list[str]:
    """The lines that a terminal of endless height shows."""
    rows, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[\d*[AGK]|.", text, re.DOTALL):
        if token == "\n":
            row, column = row + 1, 0
            if row == len(rows):
                rows.append("")
        elif token == "\r":
            column = 0
        elif token == "\b":
            column = max(0, column - 1)
        elif token.endswith("A") and token != "A":
            row = max(0, row - int(token[2:-1] or 1))
        elif token.endswith("G") and token != "G":
            column = int(token[2:-1] or 1) - 1
        elif token == "\x1b[K":
            rows[row] = rows[row][:column]
        elif token == "\x1b[2K":
            rows[row] = ""
        else:
            rows[row] = rows[row][:column].ljust(column) + token + rows[row][column + 1 :]
            column += 1
    return rows


WRITTEN = ["a", "bc", "def", " ", "\n", "\n", "\r", "\b", "\x1b[K", "\x1b[2K", "\x1b[G", "\x1b[3G"]


@settings(deadline=None, max_examples=examples(300))
@given(st.data(), st.lists(st.sampled_from([*WRITTEN, "\x1b[A", "\x1b[2A"]), max_size=25))
def test_what_is_shown_is_what_a_terminal_shows(data: st.DataObject, written: list[str]) -> None:
    """The cursor first goes down and up again, so that no line has been sent already."""
    text = "".join(written)
    height = text.count("\n")
    opened = "\n" * height + f"\x1b[{height}A" if height else ""
    blocks = in_pieces((opened + text).encode(), data.draw(st.integers(1, 50)))
    expected = [line.rstrip() for line in as_a_grid("\n" * 50 + text)]
    shown = [line.rstrip() for line in read(blocks)[0]]
    # Empty lines: those that were only passed over are left out.
    assert [line for line in shown if line] == [line for line in expected if line]


COLOURED = [*WRITTEN, "\t", "\x1b[31m", "\x1b[1;5m", "\x1b[0m", "\x1b[m", "longer text", "\x1b[4D"]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from([*COLOURED, "\x1b[A"]), max_size=25))
def test_the_states_of_a_line_read_at_once_are_those_read_one_by_one(written: list[str]) -> None:
    at_once, one_by_one = Screen(), Screen()
    released = [line for piece in written for line in one_by_one.feed(piece)]
    assert at_once.feed("".join(written)) == released
    assert at_once.bars(released) == one_by_one.bars(released)
    assert at_once.settle() == one_by_one.settle()


@settings(deadline=None, max_examples=500)
@given(
    st.lists(
        st.sampled_from([*COLOURED, "\x1b[A", *["\r\x1b[2K", "\r\x1b[K"] * 8]).filter("\n".__ne__),
        max_size=25,
    ),
    st.sampled_from(["", "\n"]),
)
def test_states_that_are_left_out_change_nothing(written: list[str], end: str) -> None:
    text = "".join(written)
    some, every = Screen(), Screen()
    released = every.feed(text + end)
    assert some.feed(without_superseded(text) + end) == released
    assert some.bars(released) == every.bars(released)
    assert some.feed("more\n") == every.feed("more\n")
    assert some.settle() == every.settle()


def test_of_many_states_two_are_read() -> None:
    states = [f"\r\x1b[2K\x1b[32m{number}\x1b[0m%" for number in range(100)]
    assert without_superseded("".join(states)) == f"{states[0]}\x1b[0m{states[-1]}"


@settings(deadline=None)
@given(st.data(), st.lists(st.sampled_from(["plain", "", "\x1b[32mgreen\x1b[0m", "x" * 300])))
def test_plain_lines_are_never_lost_or_reordered_among_bars(
    data: st.DataObject, lines: list[str]
) -> None:
    bar = "\r\x1b[K10%\r\x1b[K99%\r\x1b[K"
    text = "".join(data.draw(st.sampled_from(["", bar])) + line + "\n" for line in lines)
    sent, _ = read(in_pieces(text.encode(), data.draw(st.integers(1, 400))))
    assert [line for line in sent if line] == [line for line in lines if line]


@pytest.mark.parametrize("size", [1, 5, 1_000])
@pytest.mark.parametrize("modes", ["47", "1047", "1049", "1049;25", "25;1049", "1;1049;2004"])
def test_full_screen_output_is_left_out(modes: str, size: int) -> None:
    painted = f"before\n\x1b[?{modes}h\x1b[2J~\n~\n\x1b[3;4Htext\n\x1b[?{modes}lafter\n"
    assert read(in_pieces(painted.encode(), size))[0] == ["before", "after"]


def test_other_modes_are_no_full_screen() -> None:
    text = b"a\n\x1b[?25h\x1b[?1h\x1b[?2004hb\x1b[?104;9hc\n"
    assert "b" in read([text])[0][1]


@pytest.mark.parametrize("size", [1, 1_000])
def test_the_end_is_sent_when_the_full_screen_is_never_left(size: int) -> None:
    rows = "".join(f"\x1b[{number};1Hrow {number}" for number in range(1, 50))
    text = f"before\x1b[?1049h\x1b[2J{rows}\r\n\x1b[31merror: it broke\x1b[0m\r\n"
    lines, _ = read(in_pieces(text.encode(), size))
    expected = [f"row {number}" for number in range(1, 50)] + ["error: it broke"]
    assert lines == ["before", *expected[-LAST_LINES:]]
