"""`relay send`: publishes events from a script and prints the receipts."""

from collections.abc import Iterator, Mapping
from typing import Any

import click
import msgspec

from relay.cli.api_calls import report_refusals
from relay.cli.delivery import Delivery
from relay.cli.exit_codes import Failed
from relay.cli.near_words import did_you_mean
from relay.cli.numbers import ExitCode, FiniteNumber, ProgressNumber
from relay.cli.options import credentials, relay_options
from relay.cli.output import note, show, show_json
from relay.cli.standard_input import open_stdin
from relay.cli.stdin_events import read_events
from relay.client.posting import EventPoster
from relay.client.text_encoding import BOM_CHARACTER
from relay.events import EVENT_TYPES

Event = Mapping[str, Any]


class EventType(click.Choice[str]):
    """An event type, or `-` for stdin."""

    def __init__(self) -> None:
        super().__init__((*EVENT_TYPES, "-"))

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        message = super().get_invalid_choice_message(value, ctx)
        return f"{message}{did_you_mean(str(value), EVENT_TYPES)}"


@click.command("send", context_settings={"allow_extra_args": True})
@click.argument("what", metavar="EVENT_TYPE | -", type=EventType())
@click.option("--task-id", metavar="ID", help="Id of the task.")
@click.option("--title", metavar="TEXT", help="Title of the task.")
@click.option("--progress", type=ProgressNumber(), metavar="0-1", help="Progress of the task.")
@click.option("--message", metavar="TEXT", help="Message, or text of a log.")
@click.option("--level", metavar="WORD", help="Level of a log: debug, info, warning, error.")
@click.option("--exit-code", type=ExitCode(), metavar="N", help="Exit code of the task.")
@click.option("--duration", type=FiniteNumber(0), metavar="SECONDS", help="Duration of the task.")
@click.option("--payload", metavar="JSON", help="Payload; the options above are added to it.")
@click.option("--event-id", metavar="ID", help="Id of the event; sent twice, it is stored once.")
@click.option("--ts", metavar="TIME", help="Time of the event, RFC 3339 [now].")
@click.option(
    "--wait",
    type=FiniteNumber(0),
    metavar="SECONDS",
    default=10.0,
    help="Retry this long while Relay is away or busy [10].",
)
@click.option("--json", "as_json", is_flag=True, help="Print the receipt as JSON.")
@relay_options
@click.pass_context
def command(
    context: click.Context,
    /,
    what: str,
    task_id: str | None,
    event_id: str | None,
    ts: str | None,
    payload: str | None,
    wait: float,
    as_json: bool,
    url: str | None,
    token: str | None,
    **keys: Any,
) -> None:
    """Publish an event, or the events on stdin, and show the receipt.

    \b
    Examples:
      relay send task_started --task-id build --title "Build of main"
      relay send task_progress --task-id build --progress 0.4 --message "40 %"
      relay send task_succeeded --task-id build --exit-code 0
      relay send log --message "$(uptime)" --json
      echo '{"event_type": "log", "payload": {"message": "hello"}}' | relay send -
      tail -f events.ndjson | relay send -

    \b
    With -, each line of stdin is an event, a JSON object. Lines that arrive together are stored
    together. Missing ts and event_id are added. A single object may span several lines. It waits
    as long as a rate limit asks; if it cannot go on, it names the line to go on with.
    Exit codes: 0 stored, 1 refused, 2 wrong usage, 4 no valid token, 5 Relay is away.
    """
    if context.args:
        words = " ".join(context.args)
        raise click.UsageError(f'Unexpected argument. Did you mean --message "{words}"?')
    given = {"task_id": _text(task_id), "event_id": _text(event_id), "ts": _text(ts)}
    keys = {name: _text(value) if isinstance(value, str) else value for name, value in keys.items()}
    if what == "-":
        for name, value in {**given, **keys, "payload": payload}.items():
            if value is not None:
                option = f"--{name.replace('_', '-')}"
                raise click.UsageError(f"{option} cannot be used with -: put it into the events.")
        batches: Iterator[Mapping[int, Event]] = _events_of_stdin()
    else:
        keys["duration_s"] = keys.pop("duration")
        batches = iter([{0: _event(what, given, payload, keys)}])
    with report_refusals(), EventPoster(credentials(url, token)) as posting:
        _publish(Delivery(posting, wait, paced=what == "-"), batches, as_json)


def _events_of_stdin() -> Iterator[Mapping[int, Event]]:
    with open_stdin() as stdin:
        yield from read_events(stdin.fileno())


def _publish(deliver: Delivery, batches: Iterator[Mapping[int, Event]], as_json: bool) -> None:
    """Send the batches. A failure names the line of stdin from which to go on. Raises Failed."""
    stored: int | None = None  # all lines up to this one are; 0 is an event of the options
    try:
        for events in batches:
            for last, receipt in deliver.send(events):
                stored = last
                _show(receipt, as_json)
    except Failed as error:
        raise Failed(error.message + _resume(stored), error.exit_code) from error
    except KeyboardInterrupt:
        if deliver.under_way and stored:
            note(f"relay: interrupted.{_resume(stored)}")
        raise


def _resume(stored: int | None) -> str:
    if stored is None:
        return ""
    if stored == 0:
        return " The event is stored."
    return f" Lines 1 to {stored} are stored. To go on: `tail -n +{stored + 1} FILE | relay send -`"


def _event(what: str, fields: Event, payload: str | None, keys: dict[str, Any]) -> Event:
    """The event that the options describe."""
    body = {"event_type": what, **fields, "payload": _payload(payload, keys)}
    return {name: value for name, value in body.items() if value is not None}


def _payload(text: str | None, keys: dict[str, Any]) -> Any:
    """The payload that the options describe; what is given as JSON stays byte for byte.

    Only its form is checked here: what Relay takes, this takes.
    """
    given = {name: value for name, value in keys.items() if value is not None}
    if text is None:
        return given
    try:
        written = text.removeprefix(BOM_CHARACTER).encode()
        if not given:
            return msgspec.Raw(bytes(msgspec.json.decode(written, type=msgspec.Raw)))
        members = msgspec.json.decode(written, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError as error:
        raise click.BadParameter(
            "with other options, it must be an object", param_hint="--payload"
        ) from error
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise click.BadParameter(f"invalid JSON: {error}", param_hint="--payload") from error
    return {**members, **given}


def _text(option: str | None) -> str | None:
    """The text of an option. Bytes that are not UTF-8 become U+FFFD: JSON cannot hold them."""
    if option is None:
        return None
    return option.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _show(receipt: dict[str, Any], as_json: bool) -> None:
    if as_json:
        show_json(receipt)
    elif "id" in receipt:
        remark = "  duplicate, not stored again" if receipt["duplicate"] else ""
        show(f"seq {receipt['seq']}  id {receipt['id']}{remark}")
    else:
        text = f"{receipt['accepted']} stored"
        if receipt["duplicates"]:
            text += f", already stored: {receipt['duplicates']}"
        if receipt["accepted"]:
            text += f"  seq {receipt['first_seq']} to {receipt['last_seq']}"
        show(text)
