"""`relay tail`: follow one's stream in the terminal, or in a pipe."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import click

from relay.cli.asked import told
from relay.cli.options import relay_options
from relay.cli.reader import while_read
from relay.cli.screen import Screen
from relay.client.credentials import Credentials, NoCredentials, find_credentials
from relay.client.watching import Break, Said, Stream

LAST = 10  # events a terminal looks back: enough to see where one is


@click.command("tail")
@click.option(
    "--last",
    type=click.IntRange(1, 1000),
    metavar="N",
    help=f"Begin N events back [{LAST}; with --json, none].",
)
@click.option("--after", metavar="CURSOR", help="Begin after this cursor, or with `oldest`.")
@click.option("--task", metavar="ID", help="Only what belongs to this task.")
@click.option("--json", "as_json", is_flag=True, help="One event a line, as Relay sends it.")
@relay_options
def command(
    last: int | None,
    after: str | None,
    task: str | None,
    as_json: bool,
    url: str | None,
    token: str | None,
) -> None:
    """Follow your stream: logs scroll by, running tasks stay below with their progress.

    Goes on where it was when the network or the server comes back. Ctrl-C ends it.

    \b
    Examples:
      relay tail
      relay tail --after oldest --task train-7f3a
      relay tail --json | jq -r 'select(.event_type == "task_failed") | .task_id'
    """
    if last is not None and after is not None:
        raise click.UsageError("--last and --after say two places to begin; give one")
    start = {"after": after} if after else {"last": str(last or LAST)}
    if as_json and last is None and after is None:
        start = {}  # a program gets what comes from now on
    with told(), while_read():
        stream = Stream(_credentials(url, token), start)
        follow(stream, task, as_json=as_json)


def follow(stream: Stream, task: str | None, *, as_json: bool) -> None:
    """Show what comes, until it is interrupted or refused."""
    with ExitStack() as stack:
        screen = None if as_json else stack.enter_context(Screen())
        broken = False
        for heard in stream.read():
            if isinstance(heard, Break):
                if not broken:  # once a break, not once a try
                    _say(f"{heard.why}; trying again")
                broken = True
                if screen is not None:
                    screen.status = f"not connected: {heard.why}"
                continue
            if broken:
                _say("connected again")
            broken = False
            for note in _notes(heard):
                _say(note)
            wanted = [one for one in heard if not one.control and _belongs(one, task)]
            if screen is None:
                sys.stdout.buffer.write(b"".join(one.raw + b"\n" for one in wanted))
                sys.stdout.buffer.flush()
            else:
                if any(one.control == "hello" and one.fields.get("reason") for one in heard):
                    screen.begin_anew()
                screen.status = f"live at {stream.cursor}"
                screen.show([one.fields for one in wanted])


def _credentials(url: str | None, token: str | None) -> Credentials:
    """A session, or a hook token where there is none: it may watch as well."""
    try:
        return find_credentials(url, token, session=True)
    except NoCredentials:
        return find_credentials(url, token)


def _belongs(one: Said, task: str | None) -> bool:
    return task is None or one.fields.get("task_id") == task


def _notes(heard: list[Said]) -> Iterator[str]:
    """What is missing, and what begins anew."""
    for one in heard:
        fields: dict[str, Any] = one.fields
        if one.control == "gap":
            missing = fields["to"] - fields["from"] + 1
            yield f"{missing} events are no longer stored ({fields['from']} to {fields['to']})"
        elif one.control == "hello" and fields.get("reason"):
            yield f"the stream begins anew, from the oldest stored event ({fields['reason']})"


def _say(note: str) -> None:
    click.echo(f"relay: {note}", err=True)
