"""The columns of a table of tasks, and a task's text in each."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from relay.cli.percent_text import percent_text
from relay.cli.times import moment_text
from relay.client.duration_text import duration_text
from relay.client.plain_text import clean
from relay.client.task_info import TASK_STATES, TaskInfo

SIGNS = {
    **{"running": "▶", "waiting": "…", "lost": "?"},
    **{"succeeded": "✓", "failed": "✗", "canceled": "-"},
}
STYLES = {
    **{"running": "bold", "waiting": "magenta", "lost": "yellow"},
    **{"succeeded": "green", "failed": "red", "canceled": "dim"},
}


class Column(NamedTuple):
    """A column of the table; `shown_from` is how wide a terminal must be for it."""

    name: str
    shown_from: int
    is_flexible: bool = False
    is_right: bool = False


# The title stays longest, with the sign of the state before it.
TITLE, MESSAGE = "TASK", "MESSAGE"
COLUMNS = (
    Column("STATE", 50),
    Column(TITLE, 0, is_flexible=True),
    Column("DONE", 30, is_right=True),
    Column(MESSAGE, 80, is_flexible=True),
    Column("TOOK", 40, is_right=True),
    Column("WHEN", 60, is_right=True),
    Column("RUN", 90, is_right=True),
    Column("ID", 120),
)


def task_cells(task: TaskInfo, now: datetime) -> dict[str, str]:
    """The texts of a task's row by column, clean. `now` is by the server's clock."""
    sign = SIGNS.get(task.state, " ")
    took = task.duration_s if task.ended else (now - task.started_at).total_seconds()
    return {
        "STATE": f"{sign} {clean(task.state)}",
        TITLE: clean(task.title or task.task_id),
        "DONE": "" if task.progress is None or task.ended else percent_text(task.progress),
        MESSAGE: "  ".join(_result(task)),
        "TOOK": "" if took is None else duration_text(max(0.0, took)),
        "WHEN": moment_text(task.last_at, now),
        "RUN": str(task.run),
        "ID": task.task_id,
    }


def _result(task: TaskInfo) -> list[str]:
    code = [f"exit code {task.exit_code}"] if task.exit_code else []
    return [*code, *([clean(task.message)] if task.message else [])]


def counts_text(counts: Mapping[str, int]) -> str:
    """How many tasks are in each state, such as `2 running, 1 failed`."""
    order = {state: place for place, state in enumerate(TASK_STATES)}
    states = sorted(counts, key=lambda state: order.get(state, len(order)))
    return ", ".join(f"{counts[state]} {clean(state)}" for state in states if counts[state])


def server_now(newest: datetime | None) -> datetime:
    """The present by the server's clock, in the local zone.

    `newest` is its latest time: one that is in the future shows that its clock is ahead.
    """
    now = datetime.now().astimezone()
    return now if newest is None else max(now, newest.astimezone())
