"""`relay channels`: how Relay reaches a person beside the page: lists, adds, tests, removes."""

import sys
import time
from typing import Any
from urllib.parse import quote

import click

from relay.cli.api_answers import read_answer, request
from relay.cli.api_calls import open_api
from relay.cli.channel_answers import (
    AddedChannel,
    ChannelList,
    ChannelRow,
    CodeSent,
    DeliveryList,
    DeliveryRow,
    SentTest,
)
from relay.cli.channel_cells import (
    COLUMNS,
    DELIVERY_COLUMNS,
    channel_cells,
    delivery_cells,
    result_text,
)
from relay.cli.durations import Duration
from relay.cli.exit_codes import NOT_ENDED
from relay.cli.options import relay_options
from relay.cli.output import ask_for, is_terminal, note, show, show_json
from relay.cli.standard_input import read_line
from relay.cli.table import table
from relay.cli.word_list import WordList
from relay.client.api_client import ApiClient

KINDS = ("webhook", "ntfy", "slack", "discord", "email")  # a browser adds itself on its page
EVENTS = ("failed", "lost", "waiting", "succeeded", "canceled")
LOOK_SECONDS = 0.5  # between two looks whether a test has arrived
MAX_ADDRESS_BYTES = 8_192  # far more than Relay takes
MIN_PREFIX = 4  # characters of an id that may stand for it


@click.group("channels")
def command() -> None:
    """Get notifications when a task fails, ends or waits: by chat, mail, phone or webhook.

    \b
    Try it:
      relay channels add ntfy https://ntfy.sh/a-name-that-is-hard-to-guess
      relay channels test ntfy
    """


@command.command("list", short_help="List your channels.")
@click.option("--json", "as_json", is_flag=True, help="Print Relay's answer as JSON.")
@relay_options
def list_channels(as_json: bool, url: str | None, token: str | None) -> None:
    """List your channels: where they lead, what they are for, and whether it arrives.

    \b
    Examples:
      relay channels list
      relay channels list --json | jq -r '.[] | select(.last_error != null) | .channel_id'
    """
    with open_api(url, token) as (relay, _):
        answer = relay.call("GET", "/api/channels")
        channels = read_answer(relay, answer, ChannelList).channels
    if as_json:
        show_json(answer["channels"])
    elif channels:
        for line in table(COLUMNS, [channel_cells(one) for one in channels]):
            show(line)
    else:
        note("No channels yet. Add one: relay channels add ntfy https://ntfy.sh/your-topic")


@command.command("add", short_help="Add a channel.")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("address")
@click.option(
    "--on",
    "events",
    metavar="STATES",
    type=WordList(EVENTS),
    help=f"What it is for: of {', '.join(EVENTS)}, with commas between"
    " [failed,lost,waiting, and succeeded after 2m].",
)
@click.option(
    "--min-duration",
    type=Duration(most="30d"),
    metavar="2m",
    help="Leave out what succeeded sooner [2m; with --on, nothing].",
)
@click.option("--always", is_flag=True, help="Also while you are looking at the page.")
@click.option("--no-message", is_flag=True, help="Without the last line of the task.")
@click.option("--access-token", metavar="TOKEN", help="Of a protected ntfy topic.")
@click.option("--priority", type=click.IntRange(1, 5), help="Of ntfy [4 for trouble, else 3].")
@click.option("--code", metavar="CODE", help="The code that was mailed to the address.")
@click.option("--json", "as_json", is_flag=True, help="Print Relay's answer as JSON.")
@relay_options
def add(
    kind: str,
    address: str,
    events: tuple[str, ...] | None,
    min_duration: int | None,
    always: bool,
    no_message: bool,
    access_token: str | None,
    priority: int | None,
    code: str | None,
    as_json: bool,
    url: str | None,
    token: str | None,
) -> None:
    """Add a channel. Its id is printed, alone on stdout; a webhook's signing secret is on stderr.

    ADDRESS is a URL, or the mail address of `email`; `-` reads it from stdin, where other users do
    not see it in `ps`. A mail address is sent a code first, which this command asks for.

    \b
    Examples:
      relay channels add ntfy https://ntfy.sh/a-name-that-is-hard-to-guess
      relay channels add slack - --on failed,lost < slack-webhook.txt
      relay channels add email ada@example.com
      relay channels add webhook https://example.com/hooks/relay --always --json
    """
    wanted: dict[str, Any] = {"kind": kind, "unless_watched": not always, "message": not no_message}
    wanted |= {"on": events} if events else {}
    wanted |= {} if min_duration is None else {"min_duration_s": min_duration}
    for option, value in (("access_token", access_token), ("priority", priority)):
        if value is not None and kind != "ntfy":
            raise click.UsageError(f"--{option.replace('_', '-')} is for ntfy")
        wanted |= {} if value is None else {option: value}
    if code is not None and kind != "email":
        raise click.UsageError("--code is for email")
    address = read_line(MAX_ADDRESS_BYTES) if address == "-" else address
    wanted |= {"address": address} if kind == "email" else {"url": address}
    with open_api(url, token) as (relay, _):
        if kind == "email":
            wanted["code"] = code or _mailed_code(relay, address)
        answer = relay.call("POST", "/api/channels", wanted)
        added = read_answer(relay, answer, AddedChannel)
    if as_json:
        show_json(answer)
        return
    show(added.channel_id)
    if added.signing_secret is not None:
        note(f"Signing secret, not shown again: {added.signing_secret}")
    note(f"Send a test: relay channels test {added.channel_id}")


def _mailed_code(relay: ApiClient, address: str) -> str:
    """The code that Relay mails to the address, as a person enters it."""
    sent = request(relay, CodeSent, "POST", "/api/email-code", {"address": address})
    note(f"A code was sent to {sent.address}. It is valid for {sent.expires_in // 60} minutes.")
    if not is_terminal(sys.stdin):
        raise click.ClickException("run this command again with --code")
    return ask_for("Code")


@command.command("test", short_help="Send a test.")
@click.argument("channel", metavar="CHANNEL")
@click.option(
    "--wait",
    type=Duration(most="10m"),
    default="20s",
    metavar="DURATION",
    help="How long its arrival is waited for [20s].",
)
@relay_options
def test(channel: str, wait: int, url: str | None, token: str | None) -> None:
    """Send a test to a channel, and wait until the receiver has taken it.

    CHANNEL is an id, the beginning of one, or a kind of which there is one channel. Exit code 0: it
    arrived. 1: it did not. 124: not yet.

    \b
    Examples:
      relay channels test ntfy
      relay channels test 5f0c8a8e && echo "it arrived"
    """
    with open_api(url, token) as (relay, _):
        found = find_channel(relay, channel)
        sent = request(relay, SentTest, "POST", f"{_path(found)}/test").notification_id
        ends_at = time.monotonic() + wait
        while True:
            delivery = _delivery(relay, found, sent)
            if delivery is not None and delivery.is_decided:
                break
            if time.monotonic() >= ends_at:
                note("It has not arrived yet. See: relay channels deliveries " + channel)
                sys.exit(NOT_ENDED)
            time.sleep(LOOK_SECONDS)
    note(result_text(delivery))
    sys.exit(0 if delivery.outcome == "delivered" else 1)


def _delivery(relay: ApiClient, channel: ChannelRow, notification_id: str) -> DeliveryRow | None:
    listed = request(relay, DeliveryList, "GET", f"{_path(channel)}/deliveries").deliveries
    return next((one for one in listed if one.notification_id == notification_id), None)


@command.command("remove", short_help="Remove channels.")
@click.argument("channels", nargs=-1, required=True, metavar="CHANNEL...")
@relay_options
def remove(channels: tuple[str, ...], url: str | None, token: str | None) -> None:
    """Remove channels. What is on its way to them is dropped.

    CHANNEL is an id, the beginning of one, or a kind of which there is one channel.

    \b
    Examples:
      relay channels remove slack
      relay channels remove 5f0c8a8e-1d37-4c52-b7a4-2f6f1be0a913
    """
    with open_api(url, token) as (relay, _):
        found = [find_channel(relay, named) for named in channels]
        for named, channel in zip(channels, found, strict=True):
            relay.call("DELETE", _path(channel))
            note(f"{named} is removed.")


@command.command("deliveries", short_help="List what was sent to a channel.")
@click.argument("channel", metavar="CHANNEL")
@click.option("--json", "as_json", is_flag=True, help="Print Relay's answer as JSON.")
@relay_options
def deliveries(channel: str, as_json: bool, url: str | None, token: str | None) -> None:
    """List the last 50 notifications of a channel, of 7 days, and what became of them.

    \b
    Examples:
      relay channels deliveries ntfy
      relay channels deliveries 5f0c8a8e --json | jq '.[] | select(.outcome == "failed")'
    """
    with open_api(url, token) as (relay, _):
        found = find_channel(relay, channel)
        answer = relay.call("GET", f"{_path(found)}/deliveries")
        listed = read_answer(relay, answer, DeliveryList).deliveries
    if as_json:
        show_json(answer["deliveries"])
    elif listed:
        for line in table(DELIVERY_COLUMNS, [delivery_cells(one) for one in listed]):
            show(line)
    else:
        note(f"Nothing was sent yet. Send a test: relay channels test {channel}")


def find_channel(relay: ApiClient, named: str) -> ChannelRow:
    """The channel with this id, beginning of an id, or kind. Raises ClickException."""
    channels = request(relay, ChannelList, "GET", "/api/channels").channels
    found = [one for one in channels if named in (one.channel_id, one.kind)]
    if not found and len(named) >= MIN_PREFIX:
        found = [one for one in channels if one.channel_id.startswith(named.lower())]
    if len(found) == 1:
        return found[0]
    if found:
        raise click.ClickException(f"{len(found)} channels are meant by {named!r}; use an id")
    raise click.ClickException(f"there is no channel {named!r}. See: relay channels list")


def _path(channel: ChannelRow) -> str:
    return f"/api/channels/{quote(channel.channel_id, safe='')}"
