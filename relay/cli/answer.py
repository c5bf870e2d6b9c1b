"""`relay answer`: shows what programs ask, and answers."""

from typing import Any

import click
import msgspec

from relay.cli.api_answers import request
from relay.cli.api_calls import open_api
from relay.cli.options import relay_options
from relay.cli.output import note, show, show_json
from relay.client.api_client import ApiClient
from relay.client.payload_values import encode_json


class OpenAsk(msgspec.Struct):
    """What is shown of an ask."""

    ask_id: str
    question: str
    kind: str
    options: list[str]
    question_hash: str
    expires_at: str
    details: Any = None
    task_id: str | None = None


class OpenAsks(msgspec.Struct):
    asks: list[OpenAsk]


@click.command("answer")
@click.argument("ask_id", required=False)
@click.argument("answer", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the open asks as JSON.")
@relay_options
def command(
    ask_id: str | None, answer: str | None, as_json: bool, url: str | None, token: str | None
) -> None:
    """Answer a program that asks. Without an answer, show what is asked.

    ASK_ID is the id or its first characters; ANSWER is an option, its number, or a text.

    \b
    Examples:
      relay answer                 show the open asks
      relay answer 5f0c yes
      relay answer 5f0c 1          the first option
    """
    with open_api(url, token) as (relay, _):
        asks = _open_asks(relay)
        if ask_id is None:
            _show(asks, as_json=as_json)
            return
        chosen = chosen_ask(asks, ask_id)
        if answer is None:
            _show([chosen], as_json=as_json)
            return
        given = _option(chosen, answer)
        relay.call(
            "POST",
            f"/api/asks/{chosen.ask_id}/answer",
            {"answer": given, "question_hash": chosen.question_hash},
        )
    note(f"{chosen.question}  {given}")


def _open_asks(relay: ApiClient) -> list[OpenAsk]:
    return request(relay, OpenAsks, "GET", "/api/asks?state=open").asks


def chosen_ask(asks: list[OpenAsk], start: str) -> OpenAsk:
    """The ask whose id starts so. Raises ClickException if there is not exactly one."""
    found = [ask for ask in asks if ask.ask_id.startswith(start.lower())]
    if len(found) == 1:
        return found[0]
    if not found:
        raise click.ClickException(
            f"no open ask has an id that starts with {start!r}; `relay answer` lists them"
        )
    raise click.ClickException(
        f"{len(found)} open asks have ids that start with {start!r}; give more characters"
    )


def _option(ask: OpenAsk, answer: str) -> str:
    """The option that is meant: itself, or its number from 1. Raises ClickException."""
    if ask.kind != "choice" or answer in ask.options:
        return answer
    if answer.isdecimal() and 1 <= int(answer) <= len(ask.options):
        return ask.options[int(answer) - 1]
    raise click.ClickException(f"answer with {', '.join(ask.options)}")


def _show(asks: list[OpenAsk], *, as_json: bool) -> None:
    if as_json:
        for ask in asks:
            show_json(ask)
        return
    if not asks:
        note("Nothing is asked.")
    for ask in asks:
        show(f"{ask.ask_id[:8]}  {ask.question}", bold=ask.question)
        for number, option in enumerate(ask.options, 1):
            show(f"          {number}  {option}")
        if ask.details is not None:
            show(f"          {encode_json(ask.details).decode()}")
        show(f"          until {ask.expires_at}")
