"""A command that cannot find what was named says how to name it."""

import click
import pytest

from relay.cli.answer import OpenAsk, chosen_ask
from relay.cli.named_task import MAX_TITLE, find_task
from relay.client.api_client import ApiClient

ASKS = [OpenAsk(id, "Deploy?", "text", [], "h", "2026-01-31T12:00:00Z") for id in ("5f0c", "5f1d")]


def test_an_ask_is_named_by_the_beginning_of_its_id() -> None:
    assert chosen_ask(ASKS, "5F1") is ASKS[1]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("a", "no open ask has an id that starts with 'a'; `relay answer` lists them"),
        ("5f", "2 open asks have ids that start with '5f'; give more characters"),
    ],
)
def test_a_beginning_that_is_not_of_one_ask_is_refused(start: str, expected: str) -> None:
    with pytest.raises(click.ClickException) as refusal:
        chosen_ask(ASKS, start)
    assert refusal.value.message == expected


@pytest.mark.parametrize("name", ["", "x" * (MAX_TITLE + 1)])
def test_a_name_that_no_task_can_have_is_refused(name: str) -> None:
    nowhere = ApiClient("http://127.0.0.1:9", "token")  # no request is made
    with nowhere as api, pytest.raises(click.ClickException) as refusal:
        find_task(api, name)
    assert refusal.value.message == (
        "Name a task by its id or its title, which has at most 300 characters."
    )
