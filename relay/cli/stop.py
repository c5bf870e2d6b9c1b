"""`relay stop`: asks a running task to stop, as the page does."""

import sys
import time

import click

from relay.cli.api_calls import open_api
from relay.cli.completion import known_tasks
from relay.cli.durations import Duration
from relay.cli.exit_codes import NOT_ENDED, WRONG_USAGE, Failed
from relay.cli.named_task import find_task
from relay.cli.options import relay_options
from relay.cli.output import confirm, note, show
from relay.cli.run_log import SUPERSEDED
from relay.client.api_client import ApiClient, ApiError
from relay.client.retry_pauses import pause_before
from relay.client.task_info import TaskInfo
from relay.client.task_query import TaskFilter, read_pages

LOOK_SECONDS = 1.0  # between two looks whether the run has ended


@click.command("stop")
@click.argument("task", metavar="TASK", shell_complete=known_tasks)
@click.option("-y", "--yes", "is_sure", is_flag=True, help="Stop it without asking first.")
@click.option("--wait", "waits", is_flag=True, help="Wait until the run has ended, and print how.")
@click.option(
    "--timeout",
    type=Duration(most="7d"),
    default="1h",
    metavar="DURATION",
    help="How long --wait waits: 90s, 15m, 1h [1h].",
)
@relay_options
def command(
    task: str, is_sure: bool, waits: bool, timeout: int, url: str | None, token: str | None
) -> None:
    """Ask a task to stop. It stops when its program has heard of it.

    TASK is its id, or its title, or a part of the title that no other task has. Programs that run
    under `relay run --stoppable`, or with stoppable= in Python, can be stopped.
    Exit code 0: it was asked to stop, or has ended already; with --wait: it has ended.
    124: it has not ended in time.

    \b
    Examples:
      relay stop train
      relay stop "make test" --yes --wait && ./deploy
    """
    with open_api(url, token) as (api, _):
        found = find_task(api, task).task
        end = _end_of(found, found)
        if end is None:
            _make_sure(found, is_sure=is_sure)
            end = _request_stop(api, found)
        if end is not None:
            note(f"{_named(found)} has ended already.")
        elif waits:
            note(f"Waiting for the end of {_named(found)}")
            end = _wait_for_end(api, found, timeout)
        else:
            note(f"{_named(found)} was asked to stop.")
    if waits and end is not None:
        show(end)


def _end_of(task: TaskInfo, present: TaskInfo) -> str | None:
    """How the task's run has ended, by what the task is now; None if it has not."""
    if present.run != task.run:
        return SUPERSEDED
    return present.state if present.ended else None


def _make_sure(task: TaskInfo, *, is_sure: bool) -> None:
    """Ask on a terminal. Raises Failed if there is none, click.Abort after a no."""
    if not task.stoppable:
        raise click.ClickException(
            f"{_named(task)} cannot be stopped from here: its program did not offer it."
            " `relay run --stoppable` and stoppable= in Python do."
        )
    if is_sure:
        return
    if not sys.stdin.isatty():
        raise Failed("stdin is no terminal to ask on: add --yes", WRONG_USAGE)
    confirm(f"Stop {_named(task)}, which is {task.state}?")


def _request_stop(api: ApiClient, task: TaskInfo) -> str | None:
    """Ask the run to stop; returns how it ended if it did so meanwhile. Raises ApiError."""
    try:
        api.call("POST", "/api/tasks/stop", {"task_id": task.task_id, "run": task.run})
    except ApiError as error:
        end = _end_of(task, _read(api, task)) if error.code == "not_stoppable" else None
        if end is None:
            raise
        return end
    return None


def _wait_for_end(api: ApiClient, task: TaskInfo, seconds: float) -> str:
    """Wait until the run has ended; returns how. Raises Failed after so many seconds."""
    ends, attempt, is_lost = time.monotonic() + seconds, 0, False
    while True:
        try:
            present, attempt = _read(api, task), 0
        except ApiError as error:
            if not error.is_temporary:
                raise
            pause, attempt = pause_before(attempt, error.retry_after), attempt + 1
        else:
            if (end := _end_of(task, present)) is not None:
                return end
            if present.state == "lost" and not is_lost:
                note(f"Nothing was heard of the task for {present.lease_s} s; waiting")
            pause, is_lost = LOOK_SECONDS, present.state == "lost"
        if time.monotonic() + pause > ends:
            raise Failed(f"{_named(task)} has not ended in time.", NOT_ENDED)
        time.sleep(pause)


def _read(api: ApiClient, task: TaskInfo) -> TaskInfo:
    """The task as it is now. Raises ApiError, ClickException if it was deleted."""
    page = next(read_pages(api, TaskFilter(task_ids=(task.task_id,)), 1))
    if not page.tasks:
        raise click.ClickException("The task was deleted.")
    return page.tasks[0]


def _named(task: TaskInfo) -> str:
    return task.task_id if not task.title else f"{task.title} ({task.task_id})"
