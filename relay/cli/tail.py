"""`relay tail`: shows the stream in a terminal, or writes it to a pipe."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import click

from relay.cli import output
from relay.cli.api_calls import report_refusals
from relay.cli.options import any_credentials, relay_options
from relay.cli.screen import Screen
from relay.cli.unread_output import exit_when_unread
from relay.client.stream_messages import StreamMessage
from relay.client.stream_reader import ConnectionLost, StreamReader

DEFAULT_LAST = 10  # events shown at the start in a terminal


@click.command("tail")
@click.option(
    "--last",
    type=click.IntRange(1, 1000),
    metavar="N",
    help=f"Start N events back [{DEFAULT_LAST}; with --json, 0].",
)
@click.option("--after", metavar="CURSOR", help="Start after this cursor, or at `oldest`.")
@click.option("--task", metavar="ID", help="Only events of this task.")
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
    with report_refusals(), exit_when_unread():
        stream = StreamReader(any_credentials(url, token), start)
        follow(stream, task, as_json=as_json)


def follow(stream: StreamReader, task: str | None, *, as_json: bool) -> None:
    """Show the stream until it is interrupted or refused."""
    with ExitStack() as stack:
        screen = None if as_json else stack.enter_context(Screen())
        broken = False
        for received in stream.read():
            if isinstance(received, ConnectionLost):
                if not broken:  # once per break, not once per attempt
                    _print_note(f"{received.why}; trying again")
                broken = True
                if screen is not None:
                    screen.status = f"not connected: {received.why}"
                continue
            if broken:
                _print_note("reconnected")
            broken = False
            for note in _notes(received):
                _print_note(note)
            wanted = [one for one in received if _belongs(one, task)]
            if screen is None:
                output.show_json_lines(one.raw for one in wanted)
            else:
                if any(one.control == "hello" and one.fields.get("reason") for one in received):
                    screen.forget_tasks()
                screen.status = f"live at {stream.cursor}"
                screen.show([one.event for one in wanted if one.event is not None])


def _belongs(one: StreamMessage, task: str | None) -> bool:
    return one.event is not None and (task is None or one.event.task_id == task)


def _notes(received: list[StreamMessage]) -> Iterator[str]:
    """Notes about missing events, and about a stream that starts over."""
    for one in received:
        fields: dict[str, Any] = one.fields
        if one.control == "gap":
            missing = fields["to"] - fields["from"] + 1
            yield f"{missing} events are no longer stored ({fields['from']} to {fields['to']})"
        elif one.control == "hello" and fields.get("reason"):
            yield f"the stream starts over at the oldest stored event ({fields['reason']})"


def _print_note(note: str) -> None:
    output.note(f"relay: {note}")
