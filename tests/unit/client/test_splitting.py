"""Logs are divided into parts that keep their lines, and that are the same ones each time."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.client.drafts import event, log_drafts
from relay.client.plain_text import printed_lines
from relay.client.splitting import SMALLEST_TEXT, split_log

TEXTS = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=400)).map(
    "\n".join
)


def _parts(line: bytes) -> list[bytes]:
    halves = split_log(line)
    return [part for half in halves for part in _parts(half)] if halves else [line]


@given(TEXTS)
def test_the_parts_are_short_and_hold_all_characters_in_order(text: str) -> None:
    (draft,) = log_drafts(text, "t", {"level": "warning", "n": 10**300})
    parts = [json.loads(part) for part in _parts(draft.line())]
    messages = [part["payload"]["message"] for part in parts]
    assert "".join(messages).replace("\n", "") == text.replace("\n", "")
    assert all(len(message) < SMALLEST_TEXT for message in messages)
    assert len({part["event_id"] for part in parts}) == len(parts)
    assert {(part["task_id"], part["payload"]["level"]) for part in parts} == {("t", "warning")}


def test_lines_are_not_cut_where_a_newline_is_near() -> None:
    text = "\n".join(f"line {number} of a build" for number in range(100))
    (draft,) = log_drafts(text)
    halves = [json.loads(half)["payload"]["message"] for half in split_log(draft.line())]
    assert "\n".join(halves) == text


def test_blank_lines_are_kept_where_a_text_is_divided() -> None:
    text = "line\n\n" * 200
    (draft,) = log_drafts(text)
    messages = [json.loads(part)["payload"]["message"] for part in _parts(draft.line())]
    assert [line for message in messages for line in printed_lines(message)] == ["line", ""] * 200


def test_the_same_event_has_the_same_parts() -> None:
    (draft,) = log_drafts("x" * 10_000)
    assert _parts(draft.line()) == _parts(draft.line())


def test_what_is_no_text_of_a_log_is_not_divided() -> None:
    for kind, payload in (
        ("task_failed", {"message": "x" * 5_000}),
        ("log", {"data": "x" * 5_000}),
        ("log", {"message": ["x" * 5_000]}),
        ("log", ["x" * 5_000]),
        ("log", {"message": "short"}),
    ):
        assert split_log(event(kind, payload).line()) == []


@pytest.mark.parametrize(
    "line",
    [
        b"\x00" * 4_000 + b"\n",
        b'{"event_type":"log","event_id":"a","payload":{"message":"' + b"x" * 4_000 + b"\n",
        b'["' + b"x" * 4_000 + b'"]\n',
        b'{"payload":{"message":"' + b"x" * 4_000 + b'"}}\n',
        b'{"event_type":"log","payload":{"message":"' + b"x" * 4_000 + b'"}}\n',
        b'{"event_type":"log","event_id":7,"payload":{"message":"' + b"x" * 4_000 + b'"}}\n',
        b'{"event_type":"log","event_id":"e","payload":{"message":"\xff\xfe"}}\n',
        b'{"event_type":"\xff","event_id":"e","payload":{}}\n',
    ],
)
def test_a_damaged_line_of_a_file_is_not_divided(line: bytes) -> None:
    assert split_log(line) == []
