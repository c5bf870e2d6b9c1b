"""Shows tasks as they change: a table that is drawn anew in place, or a line for each change."""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec
from rich.console import Group
from rich.text import Text

from relay.cli.live_screen import LiveScreen
from relay.cli.output import show, show_json_lines
from relay.cli.server_clock import ServerClock
from relay.cli.task_cells import COLUMNS, counts_text, server_now, task_cells
from relay.cli.task_table import task_rows
from relay.client.api_client import ApiClient, ApiError
from relay.client.credentials import Credentials
from relay.client.plain_text import clean
from relay.client.task_board import TaskBoard, TaskChange
from relay.client.task_info import TaskInfo
from relay.client.task_query import TaskFilter, read_pages

LINES_BELOW = 3  # of the terminal: the head of the table, the counts and the cursor's
COUNTS_EVERY_SECONDS = 2.0  # at most, while tasks change

Counts = Mapping[str, int]


class TaskLines:
    """Prints each change of the tasks that pass the filter."""

    def __init__(self, wanted: TaskFilter, *, as_json: bool) -> None:
        self._wanted = wanted
        self._as_json = as_json
        self._shown: set[str] = set()  # ids of the tasks that passed at last

    def show(self, changes: Iterable[TaskChange]) -> None:
        passed = [change for change in changes if self._passes(change)]
        if self._as_json:
            show_json_lines(msgspec.json.encode(change.fields) for change in passed)
            return
        for change in passed:
            show(_change_line(change))

    def _passes(self, change: TaskChange) -> bool:
        """Whether the task passes the filter, or did so until now."""
        passes = change.task is not None and self._wanted.matches(change.task)
        if change.task_id in self._shown:
            if not passes:
                self._shown.discard(change.task_id)
            return True
        if passes:
            self._shown.add(change.task_id)
        return passes


def _change_line(change: TaskChange) -> str:
    if change.task is None:
        return f"- deleted  {change.task_id}"
    cells = task_cells(change.task, server_now(change.task.last_at))
    return "  ".join(filter(None, (cells[column.name] for column in COLUMNS)))


class LiveTable(LiveScreen):
    """A context manager: the tasks that pass the filter, as many as the terminal has room for."""

    def __init__(
        self, credentials: Credentials, board: TaskBoard, wanted: TaskFilter, limit: int
    ) -> None:
        super().__init__(transient=False)
        self._board = board
        self._wanted = wanted
        self._limit = limit
        self._counts = LiveCounts(credentials)
        self._snapshot_counts: Counts = {}
        self._clock = ServerClock()
        self._counts.start()

    def show(self, changes: Sequence[TaskChange]) -> None:
        """The board has changed."""
        for change in changes:
            if change.task is not None:
                self._clock.note(change.task.last_at)
        if self._board.counts is not self._snapshot_counts:
            self._snapshot_counts = self._counts.latest = self._board.counts
        elif changes:
            self._counts.ask()

    def _render(self) -> Group:
        known = list(self._board.tasks.values())
        passed = sorted(filter(self._wanted.matches, known), key=_last_seq, reverse=True)
        most = max(1, min(self._limit, self._console.height - LINES_BELOW))
        now = datetime.fromtimestamp(self._clock.now()).astimezone()
        counts = counts_text(self._counts.latest) or "no tasks"
        more = f"; {most} of {len(passed)} shown" if len(passed) > most else ""
        below = Text(f"{counts}{more}  {clean(self.status)}", style="dim", no_wrap=True)
        return Group(*task_rows(passed[:most], self._console.width, now), below)


def _last_seq(task: TaskInfo) -> int:
    return task.last_seq


class LiveCounts:
    """Keeps the counts of all tasks: asks for them after changes, on a thread of its own.

    A stream has the tasks that matter, and not all of them.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._asked = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.latest: Counts = {}

    def start(self) -> None:
        self._thread.start()

    def ask(self) -> None:
        self._asked.set()

    def _run(self) -> None:
        with ApiClient(self._credentials.url, self._credentials.token) as api:
            while True:
                self._asked.wait()
                self._asked.clear()
                try:
                    self.latest = next(read_pages(api, TaskFilter(), 1)).counts
                except ApiError:
                    self._asked.set()  # the stream says whether Relay is away
                time.sleep(COUNTS_EVERY_SECONDS)
