"""Finds the task that a command line names: by its id, or by its title."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import click

from relay.cli.task_cells import server_now
from relay.cli.times import moment_text
from relay.client.api_client import ApiClient
from relay.client.plain_text import clean
from relay.client.task_info import TaskInfo
from relay.client.task_query import PAGE_TASKS, TaskFilter, read_pages
from relay.identifiers import is_identifier

MAX_TITLE = 300  # characters of a title that Relay keeps, and looks for
MAX_CANDIDATES = 10  # that an error names


class NamedTask(NamedTuple):
    """A task, and the cursor of the stream up to which this holds."""

    task: TaskInfo
    cursor: str


def find_task(api: ApiClient, name: str) -> NamedTask:
    """The task with this id, or else the one with this title.

    The beginning or a part of a title will do if no other task has it; the whole title comes first.
    Raises ClickException if there is none, or several. Raises `ApiError`.
    """
    if is_identifier(name):
        page = next(read_pages(api, TaskFilter(task_ids=(name,)), 1))
        if page.tasks:
            return NamedTask(page.tasks[0], page.cursor)
    if not name or len(name) > MAX_TITLE:
        raise click.ClickException(
            f"Name a task by its id or its title, which has at most {MAX_TITLE} characters."
        )
    page = next(read_pages(api, TaskFilter(search=name), PAGE_TASKS))
    found = _closest(name, page.tasks)
    if not found:
        raise click.ClickException(
            f"There is no task with the id {name!r}, and none with it in its title."
            " `relay tasks` lists them."
        )
    if len(found) > 1:
        raise click.ClickException(_ambiguous(name, found))
    return NamedTask(found[0], page.cursor)


def task_deleted() -> click.ClickException:
    """The failure of a command because the task that it is about was deleted."""
    return click.ClickException("The task was deleted. `relay tasks` lists those that remain.")


def _closest(name: str, tasks: Sequence[TaskInfo]) -> list[TaskInfo]:
    """The tasks whose title is the name, else those that begin with it, else all."""
    titles = [((task.title or "").lower(), task) for task in tasks]
    wanted = name.lower()
    return (
        [task for title, task in titles if title == wanted]
        or [task for title, task in titles if title.startswith(wanted)]
        or list(tasks)
    )


def _ambiguous(name: str, found: Sequence[TaskInfo]) -> str:
    """The latest tasks that the name may mean, with their ids, as one line."""
    now = server_now(found[0].last_at)
    named = ", ".join(_described(task, now) for task in found[:MAX_CANDIDATES])
    more = f", and {len(found) - MAX_CANDIDATES} more" if len(found) > MAX_CANDIDATES else ""
    return f"{len(found)} tasks match {name!r}; name one by its id: {named}{more}"


def _described(task: TaskInfo, now: datetime) -> str:
    when = moment_text(task.last_at, now)
    return f"{task.task_id} ({clean(task.title or '')}, {task.state}, {when})"
