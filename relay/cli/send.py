"""`relay send`: events from a script, with a receipt for each."""

import itertools
import re
import sys
import time
from collections.abc import Iterator
from typing import Any

import click
import msgspec

from relay.cli.exits import AWAY, NOT_AUTHORISED, Failed
from relay.cli.lines import batches
from relay.cli.options import credentials, relay_options
from relay.client.events import encoded, new_id, now
from relay.client.posting import Away, Posting, Stored, pause_before
from relay.events import EVENT_TYPES


class Share(click.FloatRange):
    """How far something is, 0 to 1."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            return float(super().convert(value, param, ctx))
        except click.BadParameter:
            self.fail(f"{value!r} is no number from 0 to 1; 40 % is 0.4", param, ctx)


@click.command("send", context_settings={"allow_extra_args": True})
@click.argument("what", metavar="EVENT_TYPE | -", type=click.Choice((*EVENT_TYPES, "-")))
@click.option("--task-id", metavar="ID", help="Which task this belongs to.")
@click.option("--title", metavar="TEXT", help="What the task is called.")
@click.option("--progress", type=Share(0, 1), metavar="0-1", help="How far it is.")
@click.option("--message", metavar="TEXT", help="What there is to say.")
@click.option("--level", metavar="WORD", help="Of a log: debug, info, warning, error.")
@click.option("--exit-code", type=int, metavar="N", help="What it ended with.")
@click.option("--duration", type=float, metavar="SECONDS", help="How long it took.")
@click.option("--payload", metavar="JSON", help="Any JSON; the options above go into it.")
@click.option("--event-id", metavar="ID", help="Sent twice under one id, it counts once.")
@click.option("--ts", metavar="TIME", help="When it happened, RFC 3339 [now].")
@click.option(
    "--wait",
    type=click.FloatRange(0),
    metavar="SECONDS",
    default=10.0,
    help="Try so long while Relay is away or busy [10].",
)
@click.option("--json", "as_json", is_flag=True, help="The receipt as Relay gave it.")
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
    """Publish an event, or those that come on stdin, and show the receipt.

    \b
    Examples:
      relay send task_started --task-id build --title "Build of main"
      relay send task_progress --task-id build --progress 0.4 --message "40 %"
      relay send task_succeeded --task-id build --exit-code 0
      relay send log --message "$(uptime)" --json
      echo '{"event_type": "log", "payload": {"message": "hello"}}' | relay send -
      tail -f events.ndjson | relay send -

    \b
    With - each line of stdin is an event, a JSON object; what comes together is stored together.
    ts and event_id are added where they are missing. One object over several lines is fine, too.
    Exit codes: 0 stored, 1 refused, 2 wrong usage, 4 no token that counts, 5 Relay is away.
    """
    if context.args:
        words = " ".join(context.args)
        raise click.UsageError(f'What there is to say goes into --message: --message "{words}"')
    given = {"task_id": task_id, "event_id": event_id, "ts": ts}
    if what == "-":
        for name, value in {**given, **keys, "payload": payload}.items():
            if value is not None:
                option = f"--{name.replace('_', '-')}"
                raise click.UsageError(f"With - an event says itself what it is, not {option}.")
        bodies = _read(sys.stdin.fileno())
    else:
        keys["duration_s"] = keys.pop("duration")
        body = {"event_type": what, **given, "payload": _payload(payload, keys)}
        bodies = iter([{0: {name: value for name, value in body.items() if value is not None}}])
    with Posting(credentials(url, token)) as posting:
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
        raise click.BadParameter(f"no JSON: {error}", param_hint="--payload") from error
    if not given:
        return msgspec.Raw(text.encode())
    if not isinstance(payload, dict):
        raise click.BadParameter("no object to put the other options into", param_hint="--payload")
    return {**payload, **given}


def _complete(event: dict[str, Any]) -> dict[str, Any]:
    """An event of stdin with what it may leave out; a try again is the same event."""
    return {**event, "ts": event.get("ts") or now(), "event_id": event.get("event_id") or new_id()}


def _read(descriptor: int) -> Iterator[dict[int, dict[str, Any]]]:
    """The events of stdin by their lines' numbers, as many at once as came together."""
    numbers = itertools.count(1)
    for lines in batches(descriptor):
        numbered = zip(lines, numbers, strict=False)
        if events := {at: _object(line, at) for line, at in numbered if line.strip()}:
            yield events


def _object(text: bytes, number: int) -> dict[str, Any]:
    """One event; its payload stays as it is written."""
    try:
        fields = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        return {
            name: raw if name == "payload" else msgspec.json.decode(raw)
            for name, raw in fields.items()
        }
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Failed(
            f"line {number} of stdin is no JSON object: {error}."
            " One event a line, as `jq -c` prints them"
        ) from error


def _deliver(posting: Posting, events: dict[int, dict[str, Any]], wait: float) -> dict[str, Any]:
    """Bring them there within `wait` seconds. Raises Failed, whose exit code says why not."""
    lines = [encoded(_complete(event)) for event in events.values()]
    until = time.monotonic() + wait
    attempt = 0
    while True:
        if len(lines) == 1:
            answer = posting.one(lines[0])
        else:
            answer = posting.many(line + b"\n" for line in lines)
        if isinstance(answer, Stored):
            return answer.receipt
        if not isinstance(answer, Away):
            if answer.of_the_token:
                raise Failed(answer.why, NOT_AUTHORISED)
            raise Failed(_in_their_lines(answer.why, list(events)))
        pause = pause_before(attempt, answer.after)
        if time.monotonic() + pause >= until:
            raise Failed(f"not stored: {answer.why}", AWAY)
        time.sleep(pause)
        attempt += 1


def _in_their_lines(why: str, numbers: list[int]) -> str:
    """Relay counts the lines of a request; who reads this counts those of stdin."""
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
        known = "  known before, not stored again" if receipt["duplicate"] else ""
        click.echo(f"seq {receipt['seq']}  id {receipt['id']}{known}")
    else:
        told = f"{receipt['accepted']} stored"
        if receipt["duplicates"]:
            told += f", {receipt['duplicates']} known before"
        if receipt["accepted"]:
            told += f"  seq {receipt['first_seq']} to {receipt['last_seq']}"
        click.echo(told)
