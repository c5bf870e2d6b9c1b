"""Shows a stream in a terminal: its log, and below it the running tasks with progress bars."""

import re
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from types import TracebackType
from typing import TypeVar

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from relay.client.json_values import decode_any, finite
from relay.client.plain_text import CONTROL_SEQUENCES, clean
from relay.client.stream_messages import StreamEvent

Kept = TypeVar("Kept")

MAX_ROWS = 8  # running tasks that are shown; the others are counted
MAX_TASKS = 1_000  # running tasks kept; beyond, the oldest is dropped
REFRESHES_PER_SECOND = 4  # times a second, for the elapsed times
MAX_LOG_LINES = 200  # shown of one log event

# Colours are kept. Other control sequences (titles, clipboard, cursor) are removed: a log is text.
_COLOURS = re.compile(r"(\x1b\[[0-9;:]*m)")
_LEVELS = {"error": "red", "critical": "red", "warning": "yellow", "warn": "yellow", "debug": "dim"}
_ENDS = {"task_succeeded": ("✓", "green"), "task_failed": ("✗", "red")}


# From how many columns on a terminal shows the parts of a task's row. The title is always there.
MESSAGE_FROM, BAR_FROM, DURATION_FROM = 80, 60, 40


class RunningTask:
    """A running task. `began` is in seconds, by the server's clock."""

    def __init__(self, title: str, began: float) -> None:
        self.title = title
        self.progress: float | None = None
        self.message = ""
        self.began = began
        self.shown: set[str] = set()  # what was last printed of it: lines of a log, or a progress


class Screen:
    """A context manager. Colours and bars are shown only if stdout is a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, emoji=False)
        self._tasks: dict[str, RunningTask] = {}
        self._titles: dict[str, str] = {}  # of tasks by id, also of those that have ended
        self._clock_ahead = 0.0  # seconds that the server's clock is ahead of ours, at least
        self.status = "connecting"
        self._live = Live(
            console=self._console,
            get_renderable=self._render_tasks,
            refresh_per_second=REFRESHES_PER_SECOND,
            transient=True,
        )

    def __enter__(self) -> "Screen":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def forget_tasks(self) -> None:
        """Forget the tasks: the stream starts over."""
        self._tasks.clear()
        self._titles.clear()

    def show(self, events: Sequence[StreamEvent]) -> None:
        """Print events that arrived together, with a single refresh."""
        lines = [line for event in events for line in self._lines(event)]
        if lines:
            self._console.print(Text("\n").join(lines), soft_wrap=True)

    def _lines(self, event: StreamEvent) -> Iterator[Text]:
        kind, key = event.event_type, event.task_id or ""
        payload = _known_fields(event)
        message, title = payload.message, payload.title
        prefix = Text(f"{_clock(event)} ", style="dim")
        if kind == "log":
            text = message if message is not None else bytes(event.payload).decode()
            style = _LEVELS.get(payload.level, "")
            task_title = self._titles.get(key) or clean(key)
            lines = text.splitlines()[:MAX_LOG_LINES]
            if key in self._tasks:
                self._tasks[key].shown = {clean(line).strip() for line in lines}
            for line in lines:
                name = (f"{task_title}  " if task_title else "", "cyan")
                yield Text.assemble(prefix, name, coloured(line, style))
            return
        received = self._received_at(event)
        key = key or f"untitled {title}"  # a task without an id is identified by its title
        known_title = self._titles.get(key) or clean(event.task_id or "task")
        task = self._tasks.pop(key, None) or RunningTask(known_title, received)
        if title:
            task.title = clean(title)
            _remember(self._titles, key, task.title)
        if kind in _ENDS:
            sign, style = _ENDS[kind]
            yield Text.assemble(
                prefix, (f"{sign} {task.title}", style), f"  {_result(payload)}".rstrip()
            )
            return
        _remember(self._tasks, key, task)
        if kind == "task_started":
            task.began = received
            yield Text.assemble(prefix, (f"▶ {task.title}", "bold"))
        if payload.progress is not None:
            task.progress = min(1.0, max(0.0, payload.progress))
        task.message = clean(message or "")
        if kind == "task_progress" and not self._console.is_terminal:
            share = "" if task.progress is None else f"{task.progress:4.0%}  "
            words = f"{share}{task.message}".strip()
            if task.message.strip() not in task.shown and words not in task.shown:
                task.shown = {words}
                yield Text.assemble(prefix, f"{task.title}  {share}{task.message}".rstrip())

    def _received_at(self, event: StreamEvent) -> float:
        """When the server received it. A future time shows that the server's clock is ahead."""
        try:
            received = datetime.fromisoformat(event.received_at).timestamp()
        except (ValueError, OverflowError):
            return time.time()
        self._clock_ahead = max(self._clock_ahead, received - time.time())
        return received

    def _render_tasks(self) -> Group:
        width = self._console.width
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(no_wrap=True, ratio=3)
        if width >= BAR_FROM:
            grid.add_column(width=24 if width >= MESSAGE_FROM else 12)
        grid.add_column(justify="right", width=5)
        if width >= DURATION_FROM:
            grid.add_column(justify="right", width=8)
        if width >= MESSAGE_FROM:
            grid.add_column(no_wrap=True, ratio=4, style="dim")
        rows = max(1, min(MAX_ROWS, self._console.height // 3))
        tasks = list(self._tasks.values())
        for task in tasks[-rows:]:
            grid.add_row(*self._cells(task, width))
        more = f"  and {len(tasks) - rows} more running" if len(tasks) > rows else ""
        return Group(grid, Text(f"{clean(self.status)}{more}", style="dim", overflow="ellipsis"))

    def _cells(self, task: RunningTask, width: int) -> Iterator[RenderableType]:
        """The parts of a task's row that a terminal of this width has room for."""
        yield Text(task.title, style="bold", overflow="ellipsis")
        if width >= BAR_FROM:
            yield ProgressBar(1.0, task.progress or 0.0, pulse=task.progress is None)
        yield "" if task.progress is None else f"{task.progress:.0%}"
        if width >= DURATION_FROM:
            yield _duration(max(0.0, time.time() + self._clock_ahead - task.began))
        if width >= MESSAGE_FROM:
            yield Text(task.message, overflow="ellipsis")


def _remember(known: dict[str, Kept], key: str, value: Kept) -> None:
    """Keep the value as the newest one; beyond `MAX_TASKS` the oldest is dropped."""
    known.pop(key, None)
    while len(known) >= MAX_TASKS:
        del known[next(iter(known))]
    known[key] = value


def coloured(line: str, style: str) -> Text:
    """The line with its colours, and without other control sequences."""
    parts = [
        part if _COLOURS.fullmatch(part) else CONTROL_SEQUENCES.sub("", part)
        for part in _COLOURS.split(line)
    ]
    text = Text.from_ansi("".join(parts).expandtabs(4)) if "\x1b" in line else Text("".join(parts))
    if style:
        text.stylize_before(style)
    return text


class KnownFields(msgspec.Struct):
    """The fields of a payload that the screen understands, as far as they have the right types."""

    title: str | None = None
    message: str | None = None
    level: str = ""
    progress: float | None = None
    duration: float | None = None
    exit_code: int | None = None


def _known_fields(event: StreamEvent) -> KnownFields:
    payload = decode_any(bytes(event.payload))
    if not isinstance(payload, dict):
        return KnownFields()
    title, message, code = (payload.get(key) for key in ("title", "message", "exit_code"))
    return KnownFields(
        title if isinstance(title, str) else None,
        message if isinstance(message, str) else None,
        str(payload.get("level", "")).lower(),
        finite(payload.get("progress")),
        finite(payload.get("duration_s")),
        code if isinstance(code, int) and finite(code) is not None else None,
    )


def _clock(event: StreamEvent) -> str:
    """The event's time in the local time zone."""
    for stamp in (event.ts, event.received_at):
        try:
            return f"{datetime.fromisoformat(stamp).astimezone():%H:%M:%S}"
        except (ValueError, OverflowError):
            continue
    return "--:--:--"


def _result(payload: KnownFields) -> str:
    words = [] if payload.duration is None else [_duration(payload.duration)]
    words += [f"exit code {payload.exit_code}"] if payload.exit_code else []
    words += [] if payload.message is None else [clean(payload.message)]
    return "  ".join(words)


def _duration(seconds: float) -> str:
    whole = int(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
