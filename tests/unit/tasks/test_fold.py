"""What events make of a task: a file of vectors, and any history however it is cut."""

import copy
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.events import EVENT_TYPES, Event
from relay.tasks.fold import TRANSITIONS, Known, fold, group_by_task, task_of
from relay.tasks.task import Task
from tests.support.task_events import event, folded_one_by_one, histories

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text())


def events_of(vector: dict[str, Any]) -> list[Event]:
    made = []
    for seq, (event_type, payload, *ts) in enumerate(vector["events"], 1):
        text = payload if vector.get("raw") else json.dumps(payload)
        text = text.replace("DIGITS", "9" * vector.get("digits", 0))
        made.append(event(seq, event_type, text, ts=ts[0] if ts else "2026-11-29T10:00:00Z"))
    return made


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_events_make_the_task_of_the_vector(vector: dict[str, Any]) -> None:
    task = fold(None, "build-1", events_of(vector))
    if vector["task"] is None:
        assert task is None
    else:
        assert task is not None
        assert {name: getattr(task, name) for name in vector["task"]} == vector["task"]


def test_the_table_has_an_effect_for_every_event_and_knowledge() -> None:
    assert set(TRANSITIONS) == {(kind, known) for kind in EVENT_TYPES for known in Known}


def test_a_forgotten_task_comes_back_with_a_start_only() -> None:
    task = fold(None, "build-1", [event(1, "task_started", '{"title":"t","parent_id":"p"}')])
    assert task is not None
    task.forgotten = True
    late = [event(2, "task_progress", '{"title":"x"}'), event(3, "log", "{}")]
    task = fold(task, "build-1", [*late, event(4, "task_failed", "{}")])
    assert task is not None
    assert (task.forgotten, task.last_seq, task.events) == (True, 4, 4)
    task = fold(task, "build-1", [event(5, "task_started", "{}")])
    assert task is not None
    assert (task.forgotten, task.run, task.state, task.title) == (False, 2, "running", None)
    assert (task.parent_id, task.first_seq, task.events) == (None, 5, 1)


@pytest.mark.parametrize(
    ("payload", "title"),
    [('{"title":"make"}', "make"), ("{}", ""), ('{"title":5}', ""), ("[1]", "")],
)
def test_an_event_without_a_task_belongs_to_one_named_by_its_title(
    payload: str, title: str
) -> None:
    named = {"make": "untitled-d05aa2a15fb3c40e", "": "untitled-e3b0c44298fc1c14"}
    assert task_of(event(1, "task_started", payload, task_id=None)) == named[title]
    assert task_of(event(1, "log", payload, task_id=None)) is None


@given(histories, st.data())
def test_a_history_gives_the_same_tasks_however_it_is_cut(
    history: list[Event], data: st.DataObject
) -> None:
    cuts = data.draw(st.sets(st.integers(0, len(history))))
    tasks: dict[str, Task] = {}
    for start, end in pairwise(sorted({0, *cuts, len(history)})):
        for task_id, events in group_by_task(history[start:end]).items():
            task = fold(copy.deepcopy(tasks.get(task_id)), task_id, events)
            if task is not None:
                tasks[task_id] = task
    assert tasks == folded_one_by_one(history)
