"""What happens to a task that may make notifications."""

import copy
import json
from collections import Counter
from collections.abc import Iterable
from itertools import chain, pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.events import Event
from relay.tasks.fold import add_to_tasks, fold
from relay.tasks.task import FoldedTask
from relay.tasks.transitions import Transition, fold_noting
from tests.support.task_events import event, histories


def transitions(*events: tuple[str, dict[str, Any]]) -> list[Transition]:
    """Of one task with these events, folded together."""
    return _noted(_made(list(events)))[1]


def _made(events: list[tuple[str, dict[str, Any]]], first_seq: int = 1) -> list[Event]:
    """Stored events of one task."""
    return [
        event(seq, kind, json.dumps(payload))
        for seq, (kind, payload) in enumerate(events, first_seq)
    ]


def _noted(
    events: list[Event], before: dict[str, FoldedTask] | None = None
) -> tuple[dict[str, FoldedTask], list[Transition]]:
    return _noted_of_pieces([events], before)


def _noted_of_pieces(
    pieces: list[list[Event]], before: dict[str, FoldedTask] | None = None
) -> tuple[dict[str, FoldedTask], list[Transition]]:
    """What one round notes of events that came in pieces. `before` is not changed."""
    histories_: dict[str, list[Any]] = {}
    for events in pieces:
        add_to_tasks(histories_, events)
    tasks = copy.deepcopy(before or {})
    noted: list[Transition] = []
    for task_id, segments in histories_.items():
        task = fold_noting(tasks.get(task_id), task_id, segments, [], noted)
        if task is not None:
            tasks[task_id] = task
    return tasks, noted


STARTED, WAITING = ("task_started", {"title": "t"}), ("task_progress", {"waiting": True})
WENT_ON = ("task_progress", {"message": "went on"})
ASK = "5f0c8a8e-1d37-4c52-b7a4-2f6f1be0a913"
ASKED, ANSWERED = ("task_waiting", {"ask_id": ASK}), ("task_answered", {"ask_id": ASK})


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
        ([STARTED, WAITING, WENT_ON, WAITING], ["waiting"]),  # the first was over at once
        ([STARTED, ASKED], ["waiting"]),
        ([STARTED, WAITING, ASKED], ["waiting", "waiting"]),
        ([STARTED, ASKED, WAITING], ["waiting"]),
        ([STARTED, ("task_failed", {}), ASKED], ["failed", "waiting"]),
        ([ASKED, ANSWERED], ["waiting"]),
        ([("task_waiting", {"ask_id": "no id of ours"})], []),
        ([STARTED, WAITING, ("log", {"message": "m"}), ("task_succeeded", {})],
         ["waiting", "succeeded"]),
    ],
)  # fmt: skip
def test_ends_and_waits_are_noted_once_for_each_run(
    events: list[tuple[str, dict[str, Any]]], states: list[str]
) -> None:
    assert [one.state for one in transitions(*events)] == states


@pytest.mark.parametrize(
    ("round_", "states"),
    [
        ([WENT_ON, WAITING], ["waiting"]),
        ([WENT_ON, ("log", {}), WAITING, WAITING], ["waiting"]),
        ([WAITING, WENT_ON, WAITING, ("task_failed", {})], ["waiting", "failed"]),
        ([WAITING], []),
        ([("log", {}), WAITING, ("log", {})], []),
        ([WENT_ON], []),
        ([WAITING, WENT_ON], []),
        ([WENT_ON, ASKED], ["waiting"]),
        ([ASKED, WENT_ON, WAITING], ["waiting"]),  # of the ask alone
    ],
)
@pytest.mark.parametrize("pieces", [1, 2])
def test_of_a_task_that_waits_already_a_wait_that_begins_anew_is_noted(
    round_: list[tuple[str, dict[str, Any]]], states: list[str], pieces: int
) -> None:
    """Events of one round come in one piece, or in several that are joined."""
    before, _ = _noted(_made([STARTED, WAITING]))
    events = _made(round_, first_seq=3)
    size = -(-len(events) // pieces)
    _, noted = _noted_of_pieces([events[at : at + size] for at in range(0, len(events), size)],
                                before)  # fmt: skip
    assert [one.state for one in noted] == states


def test_a_wait_that_was_noted_does_not_hide_the_one_after_a_forgotten_or_ended_run() -> None:
    ended, _ = _noted(_made([STARTED, ("task_failed", {})]))
    assert _noted(_made([WENT_ON, WAITING], first_seq=3), ended)[1] == []
    waiting, _ = _noted(_made([STARTED, WAITING]))
    waiting["build-1"].forgotten = True
    assert _noted(_made([WENT_ON, WAITING], first_seq=3), waiting)[1] == []


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


# Of one task that waits and goes on many times.
LOGGED: tuple[str, dict[str, Any]] = ("log", {})
PARTS: list[list[tuple[str, dict[str, Any]]]] = [
    [WAITING],
    [WENT_ON],
    [WENT_ON, WAITING],
    [LOGGED],
    [ASKED, ANSWERED],
]
waits: st.SearchStrategy[list[Event]] = st.lists(st.sampled_from(PARTS), max_size=8).map(
    lambda drawn: _made([STARTED, *chain.from_iterable(drawn)])
)
cuts = st.sets(st.integers(1, 30))


@example(_made([STARTED, WAITING, WENT_ON, WAITING]), {2}, set())
@given(st.one_of(waits, histories), cuts, cuts)
def test_noting_changes_nothing_of_the_fold_and_a_cut_loses_nothing_that_is_noted(
    history: list[Event], rounds: set[int], pieces: set[int]
) -> None:
    """The model notes event by event. Rounds note the same ends and asks, and of the waits without
    an ask each that is not over within its round."""
    last = len(history)
    tasks: dict[str, FoldedTask] = {}
    one_by_one: dict[str, FoldedTask] = {}
    begun: list[Transition] = []  # in this round, by the model
    standing: dict[str, Transition] = {}  # waits that began in this round and are not over
    parts: list[list[Event]] = []
    for start, end in pairwise(sorted({0, last, *(at for at in rounds | pieces if at < last)})):
        parts.append(history[start:end])
        for one in history[start:end]:
            one_by_one, found = _noted([one], one_by_one)
            begun += found
            standing |= {of.task_id: of for of in found if _is_plain_wait(of)}
            standing = {
                task_id: of for task_id, of in standing.items() if _stands(one_by_one[task_id], of)
            }
        if end in rounds or end == last:
            tasks, noted = _noted_of_pieces(parts, tasks)
            assert tasks == one_by_one
            assert _keys(noted, waits=False) == _keys(begun, waits=False)
            assert _keys(standing.values(), waits=True) <= _keys(noted, waits=True)
            assert _keys(noted, waits=True) <= _keys(begun, waits=True)
            begun, standing, parts = [], {}, []
    joined: dict[str, list[Any]] = {}
    add_to_tasks(joined, history)
    assert {
        task_id: folded
        for task_id, segments in joined.items()
        if (folded := fold(None, task_id, segments)) is not None
    } == tasks


def _is_plain_wait(noted: Transition) -> bool:
    """Whether it is a wait without an ask."""
    return noted.state == "waiting" and noted.ask_id is None


def _stands(task: FoldedTask, noted: Transition) -> bool:
    """Whether the wait is not over, and not an ask's by now."""
    return task.state == "waiting" and task.run == noted.run and not task.open_asks


def _keys(noted: Iterable[Transition], *, waits: bool) -> Counter[str]:
    """What was noted, counted: of waits without an ask the run alone, of all else everything."""
    if waits:
        return Counter(f"{one.task_id} {one.run}" for one in noted if _is_plain_wait(one))
    return Counter(repr(one) for one in noted if not _is_plain_wait(one))
