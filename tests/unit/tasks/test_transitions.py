"""What happens to a task that may make notifications."""

import json
from typing import Any

import pytest
from hypothesis import given

from relay.events import Event
from relay.tasks.fold import add_to_tasks, fold
from relay.tasks.task import FoldedTask
from relay.tasks.transitions import Transition, fold_noting
from tests.support.task_events import event, histories


def transitions(*events: tuple[str, dict[str, Any]]) -> list[Transition]:
    """Of one task with these events, folded together."""
    return _noted([event(seq, kind, json.dumps(payload)) for seq, (kind, payload) in
                   enumerate(events, 1)])[1]  # fmt: skip


def _noted(
    events: list[Event], before: dict[str, FoldedTask] | None = None
) -> tuple[dict[str, FoldedTask], list[Transition]]:
    histories_: dict[str, list[Any]] = {}
    add_to_tasks(histories_, events)
    tasks = dict(before or {})
    noted: list[Transition] = []
    for task_id, segments in histories_.items():
        task = fold_noting(tasks.get(task_id), task_id, segments, [], noted)
        if task is not None:
            tasks[task_id] = task
    return tasks, noted


STARTED, WAITING = ("task_started", {"title": "t"}), ("task_progress", {"waiting": True})
ASK = "5f0c8a8e-1d37-4c52-b7a4-2f6f1be0a913"
ASKED = ("task_waiting", {"ask_id": ASK})


@pytest.mark.parametrize(
    ("events", "states"),
    [
        ([STARTED], []),
        ([STARTED, ("task_succeeded", {})], ["succeeded"]),
        ([("task_failed", {})], ["failed"]),
        ([STARTED, ("task_failed", {"canceled": True})], ["canceled"]),
        ([STARTED, ("task_failed", {}), ("task_failed", {})], ["failed"]),
        ([STARTED, ("task_failed", {}), STARTED, ("task_succeeded", {})], ["failed", "succeeded"]),
        ([STARTED, WAITING], ["waiting"]),
        ([STARTED, WAITING, WAITING], ["waiting"]),
        ([STARTED, WAITING, ("task_failed", {})], ["waiting", "failed"]),
        ([STARTED, WAITING, STARTED, WAITING], ["waiting", "waiting"]),
        ([STARTED, ASKED], ["waiting"]),
        ([STARTED, WAITING, ASKED], ["waiting", "waiting"]),
        ([STARTED, ASKED, WAITING], ["waiting"]),
        ([STARTED, ("task_failed", {}), ASKED], ["failed", "waiting"]),
        ([ASKED, ("task_answered", {"ask_id": ASK})], ["waiting"]),
        ([("task_waiting", {"ask_id": "no id of ours"})], []),
        ([STARTED, WAITING, ("log", {"message": "m"}), ("task_succeeded", {})],
         ["waiting", "succeeded"]),
    ],
)  # fmt: skip
def test_ends_and_waits_are_noted_once_for_each_run(
    events: list[tuple[str, dict[str, Any]]], states: list[str]
) -> None:
    assert [one.state for one in transitions(*events)] == states


def test_a_transition_has_what_the_task_says_at_that_moment() -> None:
    failed, again = transitions(
        STARTED,
        ("log", {"message": "one\ntwo"}),
        ("task_failed", {"exit_code": 3, "duration_s": 9}),
        STARTED,
        ("task_failed", {"message": "later"}),
    )
    assert failed == Transition("failed", "build-1", 1, "t", "two", 3, 9.0)
    assert (again.run, again.message, again.exit_code, again.duration_s) == (2, "later", None, 1.0)


@given(histories)
def test_noting_changes_nothing_of_the_fold_and_a_cut_changes_nothing_of_what_is_noted(
    history: list[Event],
) -> None:
    tasks, noted = _noted(history)
    one_by_one: dict[str, FoldedTask] = {}
    each: list[Transition] = []
    for one in history:
        one_by_one, found = _noted([one], one_by_one)
        each += found
    assert tasks == one_by_one
    ends = [one for one in noted if one.state != "waiting"]
    assert sorted(map(repr, ends)) == sorted(repr(one) for one in each if one.state != "waiting")
    joined: dict[str, list[Any]] = {}
    add_to_tasks(joined, history)
    assert {
        task_id: folded
        for task_id, segments in joined.items()
        if (folded := fold(None, task_id, segments)) is not None
    } == tasks
