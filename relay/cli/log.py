"""`relay log`: prints what a task's run has printed, and what it goes on to print."""

import click

from relay.cli.api_calls import any_credentials
from relay.cli.completion import known_tasks
from relay.cli.exit_codes import NOT_SUCCEEDED
from relay.cli.named_task import find_task
from relay.cli.options import relay_options
from relay.cli.run_log import RunLog
from relay.cli.unread_output import exit_when_unread
from relay.client.api_client import ApiClient

MAX_RUN = 999_999_999


@click.command("log")
@click.argument("task", metavar="TASK", shell_complete=known_tasks)
@click.option(
    "--run", type=click.IntRange(1, MAX_RUN), metavar="N", help="Which run [the present one]."
)
@click.option("--json", "as_json", is_flag=True, help="Print all events, a line of JSON each.")
@click.option("-f", "--follow", "follows", is_flag=True, help="Go on until the run ends.")
@relay_options
def command(
    task: str, run: int | None, as_json: bool, follows: bool, url: str | None, token: str | None
) -> None:
    """Print what a task has printed, as far as Relay still stores it.

    TASK is its id, or its title, or a part of the title that no other task has.
    With --follow the exit code is 0 if the run succeeded, and 6 if it did not.

    \b
    Examples:
      relay log "make test"
      relay log make-test-7f3a --run 2 | grep -i error
      relay log deploy --follow && relay log smoke-test --follow
    """
    with any_credentials(url, token) as credentials, exit_when_unread():
        with ApiClient(credentials.url, credentials.token) as api:
            found = find_task(api, task)
        log = RunLog(credentials, found.task, run, as_json=as_json)
        log.download(must_be_stored=not follows)
        if not follows:
            return
        if log.end is None:
            log.follow(found.cursor)
    if log.end != "succeeded":
        raise SystemExit(NOT_SUCCEEDED)
