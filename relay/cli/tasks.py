"""`relay tasks`: shows tasks, once or as they change; as the operator, makes them anew."""

import sys
from collections.abc import Sequence
from itertools import chain
from uuid import UUID

import click
import msgspec

from relay.cli import output
from relay.cli.api_calls import any_credentials
from relay.cli.completion import known_tasks
from relay.cli.data_dir import data_dir_option
from relay.cli.event_loops import allow_event_loops
from relay.cli.followed import follow
from relay.cli.needs_extra import needs_extra
from relay.cli.options import relay_options
from relay.cli.table import table
from relay.cli.task_cells import COLUMNS, counts_text, server_now, task_cells
from relay.cli.unread_output import exit_when_unread
from relay.cli.word_list import WordList
from relay.client.api_client import ApiClient
from relay.client.credentials import Credentials
from relay.client.stream_reader import StreamReader
from relay.client.task_board import TaskBoard
from relay.client.task_info import TASK_STATES
from relay.client.task_query import TaskFilter, TaskPage, read_pages

DEFAULT_LIMIT = 20  # a screenful
MAX_LIMIT = 100_000


@click.command("tasks")
@click.option(
    "--state",
    metavar="STATES",
    type=WordList(TASK_STATES),
    help=f"Only tasks in these states: of {', '.join(TASK_STATES)}, with commas between.",
)
@click.option(
    "--parent",
    metavar="ID",
    shell_complete=known_tasks,
    help="Only tasks that this task is the parent of.",
)
@click.option("-q", "--search", metavar="TEXT", help="Only tasks with this in their title.")
@click.option("--hidden", is_flag=True, help="The hidden tasks instead.")
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_LIMIT),
    metavar="N",
    help=f"Show at most N tasks [{DEFAULT_LIMIT}; with --json, all].",
)
@click.option(
    "--all",
    "show_all",
    is_flag=True,
    help=f"Show all tasks; without --json at most {MAX_LIMIT}.",
)
@click.option("--json", "as_json", is_flag=True, help="Print each task as a line of JSON.")
@click.option("-w", "--watch", is_flag=True, help="Go on and show what changes. Ctrl-C ends it.")
@click.option("--rebuild", is_flag=True, help="As the operator: make the stored tasks anew.")
@click.option("--user", "user_id", type=click.UUID, metavar="ID", help="Only this user's.")
@data_dir_option
@relay_options
@click.pass_context
def command(
    ctx: click.Context,
    state: tuple[str, ...] | None,
    parent: str | None,
    search: str | None,
    hidden: bool,
    limit: int | None,
    show_all: bool,
    as_json: bool,
    watch: bool,
    rebuild: bool,
    user_id: UUID | None,
    data_dir: str | None,
    url: str | None,
    token: str | None,
) -> None:
    """Show your tasks: what runs, what has ended and how, the latest activity first.

    \b
    Examples:
      relay tasks
      relay tasks --state running,lost --watch
      relay tasks --all --json | jq -r 'select(.state == "failed") | .task_id'

    With --rebuild, the operator of a Relay makes the stored tasks of all users, or of --user, anew
    from the stored events. Relay may serve meanwhile. The database is found as by `relay migrate`:

    \b
      DATABASE_URL=postgresql://… relay tasks --rebuild
    """
    _check_usage(ctx, rebuild=rebuild, watch=watch)
    if rebuild:
        allow_event_loops()
        with needs_extra("relay tasks --rebuild", "server"):
            from relay.cli.rebuild import rebuild_tasks
        rebuild_tasks(user_id, data_dir)
        return
    wanted = TaskFilter(state or (), parent, (), search, hidden)
    with any_credentials(url, token) as credentials, exit_when_unread():
        if watch:
            watch_tasks(credentials, wanted, limit or MAX_LIMIT, as_json=as_json)
        else:
            show_tasks(credentials, wanted, limit, show_all=show_all, as_json=as_json)


_OF_REBUILD = {"rebuild", "user_id", "data_dir"}
_NOT_OF_WATCH = {"show_all", "hidden"}  # a stream has no hidden tasks, and all that are not over


def _check_usage(ctx: click.Context, *, rebuild: bool, watch: bool) -> None:
    """Refuse options that do not go together. Raises UsageError."""
    given = {
        param.name: param.opts[-1]
        for param in ctx.command.params
        if param.name
        and ctx.get_parameter_source(param.name) is not click.core.ParameterSource.DEFAULT
    }
    names = set(given)
    if rebuild:
        excess, where = names - _OF_REBUILD, "with --rebuild"
    elif watch:
        excess, where = names & (_NOT_OF_WATCH | _OF_REBUILD), "with --watch"
    else:
        excess, where = names & _OF_REBUILD, "without --rebuild"
    if excess:
        raise click.UsageError(f"{given[min(excess)]} cannot be used {where}")
    if {"show_all", "limit"} <= names:
        raise click.UsageError("--all and --limit cannot be used together")


def show_tasks(
    credentials: Credentials,
    wanted: TaskFilter,
    limit: int | None,
    *,
    show_all: bool,
    as_json: bool,
) -> None:
    """Print tasks once."""
    if limit is None and not as_json:
        limit = MAX_LIMIT if show_all else DEFAULT_LIMIT
    with ApiClient(credentials.url, credentials.token) as api:
        pages = read_pages(api, wanted, limit)
        if as_json:
            for page in pages:
                output.show_json_lines(msgspec.json.encode(task) for task in page.raw)
            return
        read = list(pages)
    _print_table(read)
    counts = counts_text(read[0].counts)
    more = ""
    if read[-1].next is not None:
        more = f" More match: see {'--json' if show_all else '--limit and --all'}."
    output.note(f"{counts or 'There are no tasks'}.{more}")


def _print_table(pages: Sequence[TaskPage]) -> None:
    tasks = list(chain.from_iterable(page.tasks for page in pages))
    if not tasks:
        return
    now = server_now(tasks[0].last_at)
    if output.is_terminal(sys.stdout):
        from relay.cli.live_screen import new_console
        from relay.cli.task_table import task_rows

        screen = new_console()
        for row in task_rows(tasks, screen.width, now):
            screen.print(row, soft_wrap=True)
        return
    names = [column.name for column in COLUMNS]
    rows = [[task_cells(task, now)[name] for name in names] for task in tasks]
    for line in table(names, rows):
        output.show(line)


def watch_tasks(credentials: Credentials, wanted: TaskFilter, limit: int, *, as_json: bool) -> None:
    """Show tasks as they change, until it is interrupted or refused."""
    from relay.cli.live_tasks import LiveTable, TaskLines

    stream, board = StreamReader(credentials, {}, with_tasks=True), TaskBoard()
    if as_json or not output.is_terminal(sys.stdout):
        lines = TaskLines(wanted, as_json=as_json)
        for received in follow(stream):
            lines.show(board.apply(received))
        return
    with LiveTable(credentials, board, wanted, limit) as live:
        for received in follow(stream, live.set_status):
            live.show(board.apply(received))
