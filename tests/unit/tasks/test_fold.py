"""What events make of a task: a file of vectors, and any history however it is cut."""

import copy
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.events import EVENT_TYPES, NOTE_TYPES, Event
from relay.tasks.fold import TRANSITIONS, Known, add_to_tasks, fold, task_of
from relay.tasks.reported import MAX_METRICS_READ
from relay.tasks.segments import Activity, Segment, add_events
from relay.tasks.task import FoldedTask
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
    task = folded(None, *events_of(vector))
    if vector["task"] is None:
        assert task is None
    else:
        assert task is not None
        found = json.loads(msgspec.json.encode(task))
        assert {name: found[name] for name in vector["task"]} == vector["task"]


def test_the_table_has_an_effect_for_every_event_and_knowledge() -> None:
    assert set(TRANSITIONS) == {
        (kind, known) for kind in (*EVENT_TYPES, *NOTE_TYPES) for known in Known
    }


def test_a_forgotten_task_comes_back_with_a_start_only() -> None:
    task = folded(None, event(1, "task_started", '{"title":"t","parent_id":"p"}'))
    assert task is not None
    task.forgotten = True
    late = [event(2, "task_progress", '{"title":"x"}'), event(3, "log", "{}")]
    task = folded(task, *late, event(4, "task_failed", "{}"))
    assert task is not None
    assert (task.forgotten, task.last_seq, task.events) == (True, 4, 4)
    task = folded(task, event(5, "task_started", "{}"))
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


def folded(task: FoldedTask | None, *events: Event) -> FoldedTask | None:
    segments: list[Segment] = []
    add_events(segments, events)
    return fold(task, "build-1", segments)


@pytest.mark.parametrize(
    ("asked_at", "withdrawn"),
    [
        ("2026-11-29T10:00:01.999Z", ["open", "late"]),
        ("2026-11-29T10:00:02.000Z", ["open"]),
        ("2026-11-29T10:00:03.000Z", ["open"]),
        ("2026-11-29T10:00:01", ["open"]),
        (None, ["open"]),
    ],
)
def test_an_end_withdraws_what_was_asked_before_it_and_nothing_else(
    asked_at: str | None, withdrawn: list[str]
) -> None:
    """The end is at 10:00:02; of the second ask the stream hears after it."""
    late = json.dumps({"ask_id": "late", "asked_at": asked_at})
    history = [
        event(1, "task_waiting", '{"ask_id":"open"}'),
        event(2, "task_failed", "{}"),
        event(3, "task_waiting", late),
    ]
    again = [event(4, "task_started", "{}"), event(5, "task_succeeded", "{}")]
    segments: list[Segment] = []
    add_events(segments, [*history, *again])
    found: list[str] = []
    task = fold(None, "build-1", segments, found)
    assert task is not None
    assert (found, task.state, task.open_asks) == (withdrawn, "succeeded", ())


def test_the_end_of_a_forgotten_task_withdraws_what_was_asked_before_it() -> None:
    """Asked before it was forgotten, or after; what was asked after the end stays open."""
    task = folded(
        None,
        *(event(1, "task_started", "{}"), event(2, "task_waiting", '{"ask_id":"before"}')),
        event(3, "task_waiting", '{"ask_id":"answered"}'),
    )
    assert task is not None
    task.forgotten = True
    later = '{"ask_id":"later","asked_at":"2026-11-29T10:00:08Z"}'
    history = [
        event(4, "task_waiting", '{"ask_id":"after"}'),
        event(5, "task_answered", '{"ask_id":"answered"}'),
        event(6, "task_failed", "{}"),
        event(7, "task_waiting", '{"ask_id":"late","asked_at":"2026-11-29T10:00:05Z"}'),
        event(8, "task_waiting", later),
        event(9, "task_failed", "{}"),
    ]
    segments: list[Segment] = []
    add_events(segments, history)
    found: list[str] = []
    task = fold(task, "build-1", segments, found)
    assert task is not None
    assert (found, task.forgotten, task.events) == (["before", "after", "late"], True, 9)


def test_open_asks_of_a_forgotten_task_go_over_to_its_next_run() -> None:
    task = folded(None, event(1, "task_waiting", '{"ask_id":"open"}'))
    assert task is not None
    task.forgotten = True
    segments: list[Segment] = []
    add_events(segments, [event(2, "task_started", "{}"), event(3, "task_succeeded", "{}")])
    found: list[str] = []
    fold(task, "build-1", segments, found)
    assert found == ["open"]


@given(histories, st.data())
def test_a_history_gives_the_same_tasks_however_it_is_cut(
    history: list[Event], data: st.DataObject
) -> None:
    places = st.sets(st.integers(0, len(history)))
    folds, joins = data.draw(places), data.draw(places)
    tasks: dict[str, FoldedTask] = {}
    waiting: dict[str, list[Segment]] = {}
    for start, end in pairwise(sorted({0, *folds, *joins, len(history)})):
        add_to_tasks(waiting, history[start:end])
        if end in folds or end == len(history):
            for task_id, segments in waiting.items():
                task = fold(copy.deepcopy(tasks.get(task_id)), task_id, segments)
                if task is not None:
                    tasks[task_id] = task
            waiting = {}
    assert tasks == folded_one_by_one(history)


def test_an_activity_of_many_events_is_one_segment() -> None:
    payloads = [f'{{"message":"step {number}"}}' for number in range(1, 1_001)]
    history = [
        event(seq, "log" if seq % 3 else "task_progress", payload)
        for seq, payload in enumerate(payloads, 1)
    ]
    segments: list[Segment] = []
    for start in range(0, 1_000, 100):
        add_events(segments, history[start : start + 100])
    assert len(segments) == 2  # the logs before the first progress, and all after it
    task = fold(None, "build-1", segments)
    assert task is not None
    assert (task.first_seq, task.events, task.message) == (3, 998, "step 1000")


def test_metrics_of_more_names_than_a_task_keeps_are_those_that_came_first() -> None:
    names = [f"m{number}" for number in range(1_000)]
    history = [
        event(seq, "task_progress", json.dumps({"metrics": {name: seq, "m0": seq}}))
        for seq, name in enumerate(names, 1)
    ]
    (task,) = folded_one_by_one(history).values()
    assert folded(None, *history) == task
    assert task.metrics is not None
    assert list(task.metrics) == names[:32]
    assert (task.metrics["m0"], task.metrics["m31"]) == (1_000, 32)


def test_of_one_event_a_bounded_number_of_metrics_is_read() -> None:
    known = event(1, "task_progress", json.dumps({"metrics": {"m0": 1, "late": 1}}))
    numbers = {f"m{number}": "bad" if number == 1 else 2 for number in range(7_000)}
    many = event(2, "task_progress", json.dumps({"metrics": {**numbers, "late": 2}}))
    segments: list[Segment] = []
    add_events(segments, [known, many])
    (activity,) = segments
    assert isinstance(activity, Activity)
    assert activity.metrics is not None
    assert len(activity.metrics) == MAX_METRICS_READ  # "late", and not "m1"
    (task,) = folded_one_by_one([known, many]).values()
    assert folded(None, known, many) == task
    assert task.metrics is not None
    assert len(task.metrics) == 32
    assert (task.metrics["m0"], task.metrics["late"]) == (2, 1)
