"""`relay send`: publishes events from a script and prints the receipts."""

import itertools
import re
import sys
import time
from collections.abc import Iterator
from typing import Any

import click
import msgspec

from relay.cli.exit_codes import NOT_AUTHORISED, RELAY_AWAY, Failed
from relay.cli.options import credentials, relay_options
from relay.cli.stdin_batches import read_batches
from relay.client.drafts import encode_json, new_id, now
from relay.client.posting import EventPoster, Refused, RetryLater, Stored, pause_before
from relay.events import EVENT_TYPES


class ProgressType(click.FloatRange):
    """A progress from 0 to 1."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            return float(super().convert(value, param, ctx))
        except click.BadParameter:
            self.fail(f"{value!r} is not between 0 and 1; write 40 % as 0.4", param, ctx)


@click.command("send", context_settings={"allow_extra_args": True})
@click.argument("what", metavar="EVENT_TYPE | -", type=click.Choice((*EVENT_TYPES, "-")))
@click.option("--task-id", metavar="ID", help="Id of the task.")
@click.option("--title", metavar="TEXT", help="Title of the task.")
@click.option("--progress", type=ProgressType(0, 1), metavar="0-1", help="Progress of the task.")
@click.option("--message", metavar="TEXT", help="Message, or text of a log.")
@click.option("--level", metavar="WORD", help="Level of a log: debug, info, warning, error.")
@click.option("--exit-code", type=int, metavar="N", help="Exit code of the task.")
@click.option("--duration", type=float, metavar="SECONDS", help="Duration of the task.")
@click.option("--payload", metavar="JSON", help="Payload; the options above are added to it.")
@click.option("--event-id", metavar="ID", help="Id of the event; sent twice, it is stored once.")
@click.option("--ts", metavar="TIME", help="Time of the event, RFC 3339 [now].")
@click.option(
    "--wait",
    type=click.FloatRange(0),
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
    together. Missing ts and event_id are added. A single object may span several lines.
    Exit codes: 0 stored, 1 refused, 2 wrong usage, 4 no valid token, 5 Relay is away.
    """
    if context.args:
        words = " ".join(context.args)
        raise click.UsageError(f'Unexpected argument. Did you mean --message "{words}"?')
    given = {"task_id": task_id, "event_id": event_id, "ts": ts}
    if what == "-":
        for name, value in {**given, **keys, "payload": payload}.items():
            if value is not None:
                option = f"--{name.replace('_', '-')}"
                raise click.UsageError(f"{option} cannot be used with -: put it into the events.")
        bodies = _read_stdin(sys.stdin.fileno())
    else:
        keys["duration_s"] = keys.pop("duration")
        body = {"event_type": what, **given, "payload": _payload(payload, keys)}
        bodies = iter([{0: {name: value for name, value in body.items() if value is not None}}])
    with EventPoster(credentials(url, token)) as posting:
        for events in bodies:
            _show(_deliver(posting, events, wait), as_json)


def _payload(text: str | None, keys: dict[str, Any]) -> Any:
    """The payload that the options describe."""
    given = {name: value for name, value in keys.items() if value is not None}
    if text is None:
        return given
    try:
        payload = msgspec.json.decode(text)
    except msgspec.MsgspecError as error:
        raise click.BadParameter(f"invalid JSON: {error}", param_hint="--payload") from error
    if not given:
        return msgspec.Raw(text.encode())
    if not isinstance(payload, dict):
        raise click.BadParameter("with other options, it must be an object", param_hint="--payload")
    return {**payload, **given}


def _with_defaults(event: dict[str, Any]) -> dict[str, Any]:
    """Add `ts` and `event_id` if they are missing. A retry sends the same event."""
    return {**event, "ts": event.get("ts") or now(), "event_id": event.get("event_id") or new_id()}


def _read_stdin(descriptor: int) -> Iterator[dict[int, dict[str, Any]]]:
    """The events on stdin by line number; those that arrive together are one batch."""
    numbers = itertools.count(1)
    for lines in read_batches(descriptor):
        numbered = zip(lines, numbers, strict=False)
        if events := {at: _decode_event(line, at) for line, at in numbered if line.strip()}:
            yield events


def _decode_event(text: bytes, number: int) -> dict[str, Any]:
    """Decode one event; its payload is kept byte for byte."""
    try:
        fields = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        return {
            name: raw if name == "payload" else msgspec.json.decode(raw)
            for name, raw in fields.items()
        }
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Failed(
            f"line {number} of stdin is not a JSON object: {error}."
            " Write one event per line, as `jq -c` does"
        ) from error


def _deliver(
    posting: EventPoster, events: dict[int, dict[str, Any]], wait: float
) -> dict[str, Any]:
    """Send the events, with retries for `wait` seconds. Raises Failed."""
    lines = [encode_json(_with_defaults(event)) for event in events.values()]
    until = time.monotonic() + wait
    attempt = 0
    while True:
        if len(lines) == 1:
            answer = posting.one(lines[0])
        else:
            answer = posting.many([line + b"\n" for line in lines])
        if isinstance(answer, Stored):
            return answer.receipt
        if isinstance(answer, Refused):
            if answer.is_authorization_error:
                raise Failed(answer.why, NOT_AUTHORISED)
            raise Failed(_with_stdin_lines(answer.why, list(events)))
        retry_after = answer.retry_after if isinstance(answer, RetryLater) else None
        pause = pause_before(attempt, retry_after)
        if time.monotonic() + pause >= until:
            raise Failed(f"not stored: {answer.why}", RELAY_AWAY)
        time.sleep(pause)
        attempt += 1


def _with_stdin_lines(why: str, numbers: list[int]) -> str:
    """Replace line numbers of the request by line numbers of stdin."""
    if len(numbers) == 1:
        return f"line {numbers[0]} of stdin: {why}" if numbers[0] else why

    def numbered(found: re.Match[str]) -> str:
        at = int(found[1])
        return f"line {numbers[at - 1]}" if 1 <= at <= len(numbers) else found[0]

    return re.sub(r"\bline (\d+)\b", numbered, why)


def _show(receipt: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(receipt))
    elif "id" in receipt:
        note = "  duplicate, not stored again" if receipt["duplicate"] else ""
        click.echo(f"seq {receipt['seq']}  id {receipt['id']}{note}")
    else:
        text = f"{receipt['accepted']} stored"
        if receipt["duplicates"]:
            text += f", already stored: {receipt['duplicates']}"
        if receipt["accepted"]:
            text += f"  seq {receipt['first_seq']} to {receipt['last_seq']}"
        click.echo(text)
