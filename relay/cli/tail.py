"""`relay tail`: shows the stream in a terminal, or writes it to a pipe."""

import click

from relay.cli import output
from relay.cli.api_calls import any_credentials
from relay.cli.completion import known_tasks
from relay.cli.event_tasks import task_id_of
from relay.cli.followed import follow, starts_over
from relay.cli.options import relay_options
from relay.cli.screen import TailScreen
from relay.cli.unread_output import exit_when_unread
from relay.client.stream_messages import StreamMessage
from relay.client.stream_reader import StreamReader
from relay.client.task_board import TaskBoard

DEFAULT_LAST = 10  # events shown at the start in a terminal


@click.command("tail")
@click.option(
    "--last",
    type=click.IntRange(1, 1000),
    metavar="N",
    help=f"Start N events back [{DEFAULT_LAST}; with --json, 0].",
)
@click.option("--after", metavar="CURSOR", help="Start after this cursor, or at `oldest`.")
@click.option("--task", metavar="ID", shell_complete=known_tasks, help="Only events of this task.")
@click.option("--json", "as_json", is_flag=True, help="Print each event as a line of JSON.")
@relay_options
def command(
    last: int | None,
    after: str | None,
    task: str | None,
    as_json: bool,
    url: str | None,
    token: str | None,
) -> None:
    """Follow your stream: the log, and below it the running tasks with their progress.

    After a break of the network or the server it continues where it was. Ctrl-C ends it.

    \b
    Examples:
      relay tail
      relay tail --after oldest --task train-7f3a
      relay tail --json | jq -r 'select(.event_type == "task_failed") | .task_id'
    """
    if last is not None and after is not None:
        raise click.UsageError("--last and --after cannot be used together")
    start = {"after": after} if after else {"last": str(last or DEFAULT_LAST)}
    if as_json and last is None and after is None:
        start = {}  # new events only, for programs
    with any_credentials(url, token) as credentials, exit_when_unread():
        if as_json:
            print_events(StreamReader(credentials, start), task)
        else:
            show_events(StreamReader(credentials, start, with_tasks=True), task)


def print_events(stream: StreamReader, task: str | None) -> None:
    """Print each event as a line of JSON, until it is interrupted or refused."""
    for received in follow(stream):
        output.show_json_lines(one.raw for one in received if _belongs(one, task))


def show_events(stream: StreamReader, task: str | None) -> None:
    """Show events and the running tasks, until it is interrupted or refused."""
    board = TaskBoard()
    with TailScreen() as screen:
        for received in follow(stream, screen.set_status):
            if any(starts_over(one) for one in received):
                screen.forget_tasks()
            changes = board.apply(received)
            if any(one.control in ("tasks", "task") for one in received):
                known = board.tasks.values()
                screen.show_tasks(
                    changes, [one for one in known if task is None or one.task_id == task]
                )
            screen.show([one.event for one in received if one.event and _belongs(one, task)])


def _belongs(one: StreamMessage, task: str | None) -> bool:
    return one.event is not None and (task is None or task_id_of(one.event) == task)
