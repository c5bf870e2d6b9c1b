"""`relay stop`: asks a running task to stop, as the page does."""

import sys

import click

from relay.cli.api_calls import open_api
from relay.cli.completion import known_tasks
from relay.cli.durations import Duration
from relay.cli.exit_codes import WRONG_USAGE, Failed
from relay.cli.named_task import find_task
from relay.cli.options import relay_options
from relay.cli.output import confirm, is_terminal, note, show
from relay.cli.run_end import end_of, named, read_present, wait_for_end
from relay.client.api_client import ApiClient, ApiError
from relay.client.task_info import TaskInfo


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
    124: it has not ended in time. 5: Relay is away, and it is not known whether it has ended.

    \b
    Examples:
      relay stop train
      relay stop "make test" --yes --wait && ./deploy
    """
    with open_api(url, token) as (api, credentials):
        found = find_task(api, task).task
        end = end_of(found, found)
        if end is None:
            _make_sure(found, is_sure=is_sure)
            end = _request_stop(api, found)
        if end is not None:
            note(f"{named(found)} has ended already.")
        elif waits:
            note(f"Waiting for the end of {named(found)}")
            end = wait_for_end(api, credentials, found, timeout)
        else:
            note(f"{named(found)} was asked to stop.")
    if waits and end is not None:
        show(end)


def _make_sure(task: TaskInfo, *, is_sure: bool) -> None:
    """Ask on a terminal. Raises Failed if there is none, click.Abort after a no."""
    if not task.stoppable:
        raise click.ClickException(
            f"{named(task)} cannot be stopped from here: its program did not offer it."
            " `relay run --stoppable` and stoppable= in Python do."
        )
    if is_sure:
        return
    if not is_terminal(sys.stdin):
        raise Failed("stdin is no terminal to ask on: add --yes", WRONG_USAGE)
    confirm(f"Stop {named(task)}, which is {task.state}?")


def _request_stop(api: ApiClient, task: TaskInfo) -> str | None:
    """Ask the run to stop; returns how it ended if it did so meanwhile. Raises ApiError."""
    try:
        api.call("POST", "/api/tasks/stop", {"task_id": task.task_id, "run": task.run})
    except ApiError as error:
        end = end_of(task, read_present(api, task)) if error.code == "not_stoppable" else None
        if end is None:
            raise
        return end
    return None
