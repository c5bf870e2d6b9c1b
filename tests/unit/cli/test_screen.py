"""What `relay tail` shows: the lines of events, and below them the tasks that are under way."""

import io
import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from rich.console import Console

from relay.cli.live_tasks import LiveTable
from relay.cli.screen import LINES_AT_ONCE, TailScreen
from relay.client.credentials import Credentials
from relay.client.stream_messages import StreamEvent
from relay.client.task_board import TaskBoard, TaskChange
from relay.client.task_info import TaskInfo
from relay.client.task_query import TaskFilter
from tests.support.task_infos import NOW, task_info


def event_of(kind: str, at: datetime, task_id: str | None = "t", **payload: object) -> StreamEvent:
    received = at.isoformat().replace("+00:00", "Z")
    raw = msgspec.Raw(msgspec.json.encode(payload))
    return StreamEvent(1, kind, "2026-01-31T12:00:00Z", received, raw, task_id)


def rows(screen: TailScreen | LiveTable, seen: Console) -> str:
    """What a refresh paints."""
    with seen.capture() as below:
        seen.print(screen._render())
    return below.get()


def show_tasks(screen: TailScreen, *tasks: TaskInfo) -> None:
    screen.show_tasks([TaskChange(one.task_id, one, {}) for one in tasks], tasks)


@pytest.fixture
def still_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """No second goes by while a test looks."""
    stands = SimpleNamespace(time=NOW.timestamp, monotonic=lambda: 0.0)
    monkeypatch.setattr("relay.cli.server_clock.time", stands)


@pytest.mark.usefixtures("still_clock")
@pytest.mark.parametrize("ahead", [0, 7_200])
def test_a_tasks_duration_counts_from_its_start_by_the_servers_clock(ahead: int) -> None:
    seen = Console(width=100, file=io.StringIO(), force_terminal=True)
    screen = TailScreen(seen)
    show_tasks(screen, task_info(NOW + timedelta(seconds=ahead)))
    below = rows(screen, seen)
    assert re.search(r"40%\x1b?\S* +3:10\b", below) is not None, below


def test_a_clock_that_was_behind_once_is_right_when_it_was_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A VM goes on with the time of its last evening until it has asked a time server."""
    clock = SimpleNamespace(time=lambda: NOW.timestamp() - 8 * 3_600, monotonic=lambda: 5_000.0)
    monkeypatch.setattr("relay.cli.server_clock.time", clock)
    seen = Console(width=100, file=io.StringIO(), force_terminal=True, color_system=None)
    with (
        TailScreen(seen) as screen,
        LiveTable(
            Credentials("http://relay.test", "token"), TaskBoard(), TaskFilter(), 10
        ) as table,
    ):
        table._console = seen
        show_tasks(screen, task_info())
        table._board.tasks["t"] = task_info()
        table.show([TaskChange("t", task_info(), {})])
        for set_right in (False, True):
            if set_right:
                clock.time = NOW.timestamp
            assert " 3:10 " in rows(screen, seen)
            assert " 3:10 " in rows(table, seen)


def test_a_log_without_a_task_is_not_shown_under_one() -> None:
    seen = Console(width=100, file=io.StringIO())
    screen = TailScreen(seen)
    events = [
        event_of("task_started", datetime.now(UTC), None, title="one"),
        event_of("task_started", datetime.now(UTC), None, title="two"),
        event_of("log", datetime.now(UTC), None, message="without a task"),
        event_of("task_succeeded", datetime.now(UTC), None, title="one"),
    ]
    with seen.capture() as lines:
        screen.show(events)
    output = [line.split(" ", 1)[1] for line in lines.get().splitlines()]
    assert output == ["▶ one", "▶ two", "without a task", "✓ one"]


def test_rows_are_of_the_tasks_that_are_not_over() -> None:
    seen = Console(width=100, height=30, file=io.StringIO(), force_terminal=True, color_system=None)
    screen = TailScreen(seen)
    states = ("running", "waiting", "lost", "succeeded", "failed", "canceled")
    tasks = [
        *(task_info(task_id=state, title=f"is {state}", state=state) for state in states),
        *(task_info(task_id="h", title="is hidden", hidden=True),),
        *(task_info(task_id="n", title=None, last_seq=9),),
    ]
    show_tasks(screen, *tasks)
    lines = rows(screen, seen).splitlines()
    assert [line.split("  ")[0].strip() for line in lines] == [
        *("is running", "is waiting", "is lost", "n", "connecting"),
    ]
    assert ("waiting" in lines[1][20:], "lost" in lines[2][20:], "40%" in lines[2]) == (
        *(True, True, False),
    )
    screen.forget_tasks()
    assert rows(screen, seen).splitlines()[-1].strip() == "connecting"


def test_a_title_of_the_server_is_that_of_the_first_line() -> None:
    seen = Console(width=100, file=io.StringIO())
    screen = TailScreen(seen)
    show_tasks(screen, task_info(task_id="t", title="tr\x1b[2Jain it", state="succeeded"))
    with seen.capture() as lines:
        screen.show([event_of("log", datetime.now(UTC), message="late")])
    assert lines.get().split(" ", 1)[1] == "train it  late\n"


def test_a_type_of_event_that_is_not_known_is_passed_over() -> None:
    seen = Console(width=100, file=io.StringIO())
    with seen.capture() as lines:
        TailScreen(seen).show(
            [
                event_of("task_waiting", datetime.now(UTC), title="a later version"),
                event_of("task_answered", datetime.now(UTC), None),
                event_of("log", datetime.now(UTC), None, message="known"),
            ]
        )
    assert lines.get().split(" ", 1)[1] == "known\n"


@pytest.mark.usefixtures("still_clock")
@pytest.mark.parametrize(
    ("width", "shown", "hidden"),
    [
        (100, ("make test", "40%", "━", "3:10", "12 of 30"), ()),
        (70, ("make test", "40%", "━", "3:10"), ("12 of 30",)),
        (40, ("make test", "40%", "3:10"), ("━", "12 of 30")),
        (24, ("make test", "40%"), ("━", "3:10", "12 of 30")),
    ],
)
def test_a_narrow_terminal_keeps_the_name_longest(
    width: int, shown: tuple[str, ...], hidden: tuple[str, ...]
) -> None:
    seen = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)
    screen = TailScreen(seen)
    show_tasks(screen, task_info(NOW))
    text = rows(screen, seen)
    assert [part for part in shown if part not in text] == []
    assert [part for part in hidden if part in text] == []


@pytest.mark.usefixtures("still_clock")
@pytest.mark.parametrize(("progress", "percent"), [(0.29, " 29%"), (0.996, " 99%")])
def test_a_percentage_is_rounded_down(progress: float, percent: str) -> None:
    seen = Console(width=100, file=io.StringIO())
    screen = TailScreen(seen)
    show_tasks(screen, task_info(NOW, progress=progress))
    assert percent in rows(screen, seen)
    with seen.capture() as lines:
        screen.show([event_of("task_progress", NOW, progress=progress)])
    assert lines.get().endswith(f"t  {percent}\n"), lines.get()


def test_a_pipe_gets_no_progress_that_the_log_or_the_line_before_shows() -> None:
    seen = Console(width=100, file=io.StringIO())
    now = datetime.now(UTC)
    with seen.capture() as lines:
        TailScreen(seen).show(
            [
                event_of("task_started", now, title="build"),
                event_of("log", now, message="[ 40%] Compiling a.c\n[ 50%] Compiling b.c"),
                event_of("task_progress", now, progress=0.5, message="[ 50%] Compiling b.c"),
                event_of("task_progress", now, progress=0.6, message="linking"),
                event_of("task_progress", now, progress=0.6, message="linking"),
                event_of("task_progress", now, progress=0.7, message="linking"),
            ]
        )
    output = [line.split(" ", 1)[1] for line in lines.get().splitlines()]
    assert output == [
        "▶ build",
        "build  [ 40%] Compiling a.c",
        "build  [ 50%] Compiling b.c",
        "build   60%  linking",
        "build   70%  linking",
    ]


def test_what_comes_after_a_tasks_end_has_its_title() -> None:
    seen = Console(width=100, file=io.StringIO())
    now = datetime.now(UTC)
    with seen.capture() as lines:
        TailScreen(seen).show(
            [
                event_of("task_started", now, title="train it"),
                event_of("task_succeeded", now, title=" \x1b[0m"),
                event_of("log", now, message="late"),
                event_of("task_progress", now, progress=0.5),
            ]
        )
    output = [line.split(" ", 1)[1] for line in lines.get().splitlines()]
    assert output == ["▶ train it", "✓ train it", "train it  late", "train it   50%"]


def test_a_log_without_a_message_is_shown_as_the_json_it_is() -> None:
    seen = Console(width=100, file=io.StringIO())
    with seen.capture() as lines:
        TailScreen(seen).show([event_of("log", datetime.now(UTC), ok=True, where=None, name="Zoë")])
    assert '{"ok":true,"where":null,"name":"Zoë"}' in lines.get()


def printed(*events: StreamEvent) -> list[str]:
    """What a pipe gets of these events, without their times."""
    seen = Console(width=100, file=io.StringIO())
    with seen.capture() as lines:
        TailScreen(seen).show(events)
    return [line.split(" ", 1)[1] for line in lines.get().split("\n")[:-1]]


def log_of(message: str) -> StreamEvent:
    return event_of("log", datetime.now(UTC), None, message=message)


def test_the_lines_of_a_log_are_those_that_the_page_shows() -> None:
    assert printed(log_of("10%\r20%\rdone"), log_of("a\x0cb\u2028c\n")) == ["done", "ab", "c"]


class Written(io.StringIO):
    """A file that notes how many lines each write has."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def write(self, text: str) -> int:
        self.sizes.append(text.count("\n"))
        return super().write(text)


def test_all_lines_of_a_log_are_shown_and_few_are_held_at_a_time() -> None:
    lines = [str(number) for number in range(2_500)]
    written = Written()
    TailScreen(Console(width=100, file=written)).show([log_of("\n".join(lines))])
    shown = [line.split(" ", 1)[1] for line in written.getvalue().splitlines()]
    assert shown == lines
    assert max(written.sizes) == LINES_AT_ONCE


def test_a_progress_is_compared_with_the_end_of_a_long_log() -> None:
    now = datetime.now(UTC)
    log = "\n".join(f"[ {number}%] Compiling" for number in range(1_000))
    shown = printed(
        event_of("log", now, message=log),
        event_of("task_progress", now, progress=0.5, message="[ 999%] Compiling"),
    )
    assert shown[-1] == "t  [ 999%] Compiling"


def test_a_blank_line_of_a_log_is_a_line() -> None:
    assert printed(log_of("one"), log_of(""), log_of("two\n\n")) == ["one", "", "two", ""]


@pytest.mark.parametrize(
    ("kind", "payload", "shown"),
    [
        ("task_progress", {"progress": 50, "message": "half"}, "t  half"),
        ("task_progress", {"progress": -3, "message": "none"}, "t  none"),
        ("task_progress", {"progress": True, "message": "yes"}, "t  yes"),
        ("task_progress", {"progress": -0.0}, "t    0%"),
        ("task_progress", {"progress": 1}, "t  100%"),
        ("task_succeeded", {"duration_s": -5}, "✓ t"),
        ("task_succeeded", {"duration_s": -0.0}, "✓ t  0.0 s"),
        ("task_failed", {"exit_code": 3.0}, "✗ t  exit code 3"),
        ("task_failed", {"exit_code": 2**60, "duration_s": "5"}, "✗ t"),
    ],
)
def test_a_field_is_shown_as_far_as_it_counts_for_the_task(
    kind: str, payload: dict[str, Any], shown: str
) -> None:
    assert printed(event_of(kind, datetime.now(UTC), **payload)) == [shown]


@pytest.mark.parametrize(
    ("level", "colour"),
    [("fatal", "31"), ("ERR", "31"), ("critical", "31"), ("warn", "33"), ("trace", "2")],
)
def test_a_level_has_the_colour_that_it_has_on_the_page(level: str, colour: str) -> None:
    seen = Console(width=100, file=io.StringIO(), force_terminal=True, color_system="standard")
    with seen.capture() as lines:
        TailScreen(seen).show([event_of("log", datetime.now(UTC), None, message="m", level=level)])
    assert f"\x1b[{colour}mm" in lines.get()
