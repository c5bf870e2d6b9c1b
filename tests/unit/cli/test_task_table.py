"""The table of tasks fits any terminal, and its texts are those that people read."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.cells import cell_len

from relay.cli.task_cells import counts_text, server_now, task_cells
from relay.cli.task_table import task_rows
from relay.cli.times import moment_text
from relay.client.duration_text import duration_text
from relay.client.task_info import TaskInfo
from tests.support.task_infos import NOW
from tests.support.task_infos import task_info as task

TASKS = [
    task(),
    task(state="failed", exit_code=2, duration_s=62.5, message="broke", progress=0.9),
    task(title="ein langer Name " * 9, message="und eine lange Zeile " * 9),
    task(title="日本語のタイトル" * 8, message="进度" * 30, run=12_345),
    task(title=None, message=None, progress=None, state="waiting"),
]

PERCENTS = json.loads((Path(__file__).parents[2] / "support" / "percents.json").read_text())


def lines(width: int, *tasks: TaskInfo) -> list[str]:
    return [row.plain for row in task_rows(tasks or TASKS, width, NOW)]


@pytest.mark.parametrize("width", [*range(8, 90), 100, 119, 120, 150, 400])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert [line for line in lines(width) if cell_len(line) > width] == []
    assert len(lines(width)) == len(TASKS) + 1


@pytest.mark.parametrize(
    ("width", "shown", "hidden"),
    [
        (130, ("▶ running", "make test", "40%", "12 of 30", "3:10", "12:00:00", "7f3a"), ()),
        (100, ("▶ running", "make test", "40%", "12 of 30", "3:10", "12:00:00", " 2"), ("7f3a",)),
        (80, ("▶ running", "make test", "40%", "12 of 30", "3:10", "12:00:00"), (" 2 ",)),
        (60, ("▶ running", "make test", "40%", "3:10", "12:00:00"), ("12 of 30",)),
        (50, ("▶ running", "make test", "40%", "3:10"), ("12 of 30", "12:00:00")),
        (40, ("▶ make test", "40%", "3:10"), ("running", "12:00:00")),
        (30, ("▶ make test", "40%"), ("3:10",)),
        (12, ("▶ make test",), ("40%",)),
    ],
)
def test_a_narrow_terminal_keeps_the_name_longest(
    width: int, shown: tuple[str, ...], hidden: tuple[str, ...]
) -> None:
    _head, line = lines(width, task())
    assert [part for part in shown if part not in line] == []
    assert [part for part in hidden if part in line] == []


@pytest.mark.parametrize(("progress", "percent"), PERCENTS)
def test_a_percentage_is_rounded_down_as_on_the_page(progress: float, percent: int) -> None:
    assert task_cells(task(progress=progress), NOW)["DONE"] == f"{percent}%"


def test_a_long_message_leaves_the_title_its_room_and_a_long_title_is_cut() -> None:
    _head, line = lines(80, task(message="x" * 200))
    assert ("make test" in line, line.count("…")) == (True, 1)
    _head, line = lines(80, task(title="t" * 200, message="y" * 200))
    assert min(line.count("t"), line.count("y")) >= 12


def test_the_cells_of_a_task_that_has_ended() -> None:
    cells = task_cells(TASKS[1], NOW)
    assert (cells["STATE"], cells["DONE"], cells["MESSAGE"], cells["TOOK"]) == (
        *("✗ failed", "", "exit code 2  broke", "1:02"),
    )


def test_control_characters_and_unknown_states_are_harmless() -> None:
    cells = task_cells(task(title="a\x1b]0;x\x07b\nc", state="sto\x9bpped", message="\x1b[2J"), NOW)
    assert (cells["TASK"], cells["STATE"].strip(), cells["MESSAGE"]) == ("ab c", "stopped", "")


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (NOW - timedelta(hours=1), "11:00:00"),
        (NOW - timedelta(days=1), "11-28 12:00"),
        (NOW - timedelta(days=365), "2025-11-29"),
    ],
)
def test_a_moment_says_what_is_needed(moment: datetime, text: str) -> None:
    assert moment_text(moment, NOW) == text


def test_durations_and_counts() -> None:
    durations = [duration_text(seconds) for seconds in (2.51, 59.94, 59.97, 62.5, 3_725)]
    assert durations == ["2.5 s", "59.9 s", "1:00", "1:02", "1:02:05"]
    counts = {"failed": 2, "later": 1, "running": 3, "lost": 0, "succeeded": 1_000}
    assert counts_text(counts) == "3 running, 1000 succeeded, 2 failed, 1 later"


def test_a_server_whose_clock_is_ahead_has_the_present() -> None:
    ahead = datetime.now(UTC) + timedelta(hours=2)
    assert server_now(ahead) == ahead
    assert server_now(None) <= datetime.now(UTC)


@pytest.mark.parametrize("seconds", [1e9, 1e308, float("inf")])
def test_a_duration_that_a_producer_made_up_takes_no_more_room_than_others(seconds: float) -> None:
    assert len(duration_text(seconds)) <= len(duration_text(359_999_999))
    _head, line = lines(80, task(state="failed", duration_s=seconds))
    assert "make test" in line
