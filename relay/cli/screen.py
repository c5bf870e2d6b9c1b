"""Shows a stream in a terminal: its log, and below it the running tasks with progress bars."""

from collections.abc import Iterator, Sequence
from itertools import islice

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from relay.cli.event_lines import EventLines
from relay.cli.live_screen import LiveScreen
from relay.cli.output import to_stdout
from relay.cli.percent_text import percent_text
from relay.cli.server_clock import ServerClock
from relay.client.duration_text import duration_text
from relay.client.plain_text import clean
from relay.client.stream_messages import StreamEvent
from relay.client.task_board import TaskChange
from relay.client.task_info import TaskInfo

MAX_ROWS = 8  # running tasks that are shown; the others are counted
LINES_AT_ONCE = 1_000  # of the log; one event may have 32 000, and each takes 3 KiB until printed

# From how many columns on a terminal shows the parts of a task's row. The title is always there.
MESSAGE_FROM, BAR_FROM, DURATION_FROM = 80, 60, 40


class TailScreen(LiveScreen):
    """A context manager. Colours and bars are shown only if stdout is a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__(console, transient=True)
        self._lines = EventLines(with_progress=not self._console.is_terminal)
        self._tasks: list[TaskInfo] = []  # that are not over, those with the latest events last
        self._clock = ServerClock()

    def forget_tasks(self) -> None:
        """Forget the tasks: the stream starts over."""
        self._tasks = []
        self._lines.forget_tasks()

    def show_tasks(self, changes: Sequence[TaskChange], tasks: Sequence[TaskInfo]) -> None:
        """Show the state of tasks: the titles of those that changed, and rows of those under way.

        `tasks` are all that are known.
        """
        for change in changes:
            if change.task is not None:
                self._lines.set_title(change.task_id, change.task.title)
                self._clock.note(change.task.last_at)
        under_way = [task for task in tasks if not task.ended and not task.hidden]
        self._tasks = sorted(under_way, key=lambda task: task.last_seq)

    def show(self, events: Sequence[StreamEvent]) -> None:
        """Print events that arrived together, with a refresh for every `LINES_AT_ONCE` lines."""
        lines = (line for event in events for line in self._lines.of(event))
        while some := list(islice(lines, LINES_AT_ONCE)):
            with to_stdout():
                self._console.print(Text("\n").join(some), soft_wrap=True)

    def _render(self) -> Group:
        width, tasks = self._console.width, self._tasks
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(no_wrap=True, ratio=3)
        if width >= BAR_FROM:
            grid.add_column(width=24 if width >= MESSAGE_FROM else 12)
        grid.add_column(justify="right", width=7)
        if width >= DURATION_FROM:
            grid.add_column(justify="right", width=8)
        if width >= MESSAGE_FROM:
            grid.add_column(no_wrap=True, ratio=4, style="dim")
        rows = max(1, min(MAX_ROWS, self._console.height // 3))
        for task in tasks[-rows:]:
            grid.add_row(*self._cells(task, width))
        more = f"  and {len(tasks) - rows} more running" if len(tasks) > rows else ""
        return Group(grid, Text(f"{clean(self.status)}{more}", style="dim", overflow="ellipsis"))

    def _cells(self, task: TaskInfo, width: int) -> Iterator[RenderableType]:
        """The parts of a task's row that a terminal of this width has room for."""
        is_running = task.state == "running"
        yield Text(clean(task.title or task.task_id), style="bold", overflow="ellipsis")
        if width >= BAR_FROM:
            pulse = task.progress is None and is_running
            yield ProgressBar(1.0, task.progress or 0.0, pulse=pulse)
        if not is_running:
            yield Text(clean(task.state), style="yellow", overflow="ellipsis")
        else:
            yield "" if task.progress is None else percent_text(task.progress)
        if width >= DURATION_FROM:
            yield duration_text(max(0.0, self._clock.now() - task.started_at.timestamp()))
        if width >= MESSAGE_FROM:
            yield Text(clean(task.message or ""), overflow="ellipsis")
