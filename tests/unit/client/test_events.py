"""Events before they are sent: ids, payloads that fit, logs cut without loss."""

import json
import uuid
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relay.client.drafts import (
    MAX_LOG_BYTES,
    MAX_PAYLOAD_BYTES,
    Draft,
    event,
    log_drafts,
    new_id,
)
from relay.client.plain_text import printed_lines
from relay.identifiers import as_identifier, is_identifier
from tests.support.examples import examples

LETTERS = st.sampled_from(["a", "é", "😀", "\x00", "\x1b", '"', "\\", "\n", "\r", "\udcff"])
RUNS = st.tuples(LETTERS, st.sampled_from([1, 100, 20_000, 61_000])).map(
    lambda run: run[0] * run[1]
)
TEXTS = st.lists(st.one_of(RUNS, st.text(max_size=50)), max_size=8).map("".join)


def decoded(draft: Draft) -> dict[str, Any]:
    line = draft.line()
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    found: dict[str, Any] = json.loads(line)
    assert len(json.dumps(found["payload"], ensure_ascii=False).encode()) <= MAX_PAYLOAD_BYTES * 1.1
    return found


def test_ids_are_uuids_of_version_7_and_follow_time() -> None:
    ids = [new_id() for _ in range(1_000)]
    assert len(set(ids)) == len(ids)
    assert {(uuid.UUID(one).version, uuid.UUID(one).variant) for one in ids} == {(7, uuid.RFC_4122)}
    assert sorted(one[:13] for one in ids) == [one[:13] for one in ids]


@settings(max_examples=examples(25), deadline=None)
@given(TEXTS)
@example("a\n")
def test_a_log_is_cut_into_pieces_that_fit_and_lose_nothing(text: str) -> None:
    drafts = list(log_drafts(text, "t", {"stream": "stdout"}))
    assert all(draft.text_size <= MAX_LOG_BYTES for draft in drafts)
    pieces = [decoded(draft)["payload"]["message"] for draft in drafts]
    clean = text.encode("utf-8", "replace").decode().removesuffix("\n")  # which ends its last line
    # newlines where it was cut are the cut
    assert "".join(pieces).replace("\n", "") == clean.replace("\n", "")
    assert "\n".join(pieces).count("\n") >= clean.count("\n")


def test_lines_are_cut_between_lines() -> None:
    lines = [f"line {number}" for number in range(50_000)]
    pieces = [decoded(draft)["payload"]["message"] for draft in log_drafts("\n".join(lines))]
    assert "\n".join(pieces).split("\n") == lines
    assert len(pieces) < 15  # and no smaller than they need to be


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_joined_logs_read_like_one(texts: list[str]) -> None:
    first, *rest = [draft for text in texts for draft in log_drafts(text, "t")]
    assert all(first.join(draft) for draft in rest)
    ended = (text.removesuffix("\n").encode("utf-8", "replace").decode() for text in texts)
    message, lines = decoded(first)["payload"]["message"], "\n".join(ended)
    assert message == (lines if lines and not lines.endswith("\n") else f"{lines}\n")
    assert first.size + 1 == len(first.line())


@pytest.mark.parametrize(
    ("texts", "shown"),
    [
        (["two\n\n\n"], ["two", "", ""]),
        (["two", "\n"], ["two", ""]),
        (["two\n", ""], ["two", ""]),
        (["two\n\n", "three\n"], ["two", "", "three"]),
        (["", ""], ["", ""]),
        (["C:\\n"], ["C:\\n"]),
    ],
)
def test_blank_lines_at_the_end_of_a_log_are_lines(texts: list[str], shown: list[str]) -> None:
    first, *rest = [draft for text in texts for draft in log_drafts(text, "t")]
    assert all(first.join(draft) for draft in rest)
    assert printed_lines(decoded(first)["payload"]["message"]) == shown
    assert first.size + 1 == len(first.line())


@pytest.mark.parametrize("lines", [["x" * 50_000, "", "y" * 50_000], ["x" * 60_000, ""]])
def test_blank_lines_where_a_log_is_cut_are_lines(lines: list[str]) -> None:
    pieces = [decoded(draft)["payload"]["message"] for draft in log_drafts("\n".join([*lines, ""]))]
    assert len(pieces) == 2
    assert [line for piece in pieces for line in printed_lines(piece)] == lines


def test_logs_of_different_kinds_are_not_joined() -> None:
    ((one,), (other,), (third,)) = (
        log_drafts("a", "t"),
        log_drafts("b", "u"),
        log_drafts("c", "t", {"level": "error"}),
    )
    assert not one.join(other)
    assert not one.join(third)
    assert not event("log", {"message": "x"}, "t").join(one)


@given(st.text())
def test_any_text_makes_a_task_id_that_relay_takes(text: str) -> None:
    assert is_identifier(as_identifier(text)) or not text
