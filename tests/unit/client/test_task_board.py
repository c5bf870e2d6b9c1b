"""A client's tasks: those of the snapshot, then each that changes, within a bound."""

from typing import Any

import msgspec
import pytest

from relay.client import task_board
from relay.client.stream_messages import MessageDecoder, NotRelaysStream, StreamMessage
from relay.client.task_board import TaskBoard
from relay.client.task_info import TASK_STATES, read_task
from relay.client.task_query import TaskFilter
from relay.tasks.view import SHOWN_STATES

AT = "2026-11-29T10:00:00Z"


def fields(task_id: str, state: str = "running", **more: Any) -> dict[str, Any]:
    return {
        **{"task_id": task_id, "run": 1, "state": state, "title": "make test", "progress": 0.5},
        **{"message": "12 of 30", "metrics": {"loss": 0.5}, "parent_id": None, "url": None},
        **{"exit_code": None, "started_at": AT, "last_at": AT, "ended_at": None},
        **{"duration_s": None, "first_seq": 1, "last_seq": 2, "events": 2, "lease_s": 90},
        **{"stoppable": False, "stop_requested_at": None, "ask_id": None, "hidden": False},
        **{"of_a_later_version": [1], **more},
    }


def read(decoder: MessageDecoder, control: str, content: dict[str, Any]) -> list[StreamMessage]:
    text = msgspec.json.encode({"type": control, **content})
    return decoder.feed(b"event: " + control.encode() + b"\ndata: " + text + b"\n\n")


@pytest.fixture
def decoder() -> MessageDecoder:
    decoder = MessageDecoder()
    read(decoder, "hello", {"cursor": "e.2", "resumed": True})
    return decoder


def snapshot(
    decoder: MessageDecoder, *tasks: dict[str, Any], more: bool = False
) -> list[StreamMessage]:
    content = {"cursor": "e.2", "counts": {"running": 7}, "tasks": list(tasks), "more": more}
    return read(decoder, "tasks", content)


def test_a_snapshot_of_several_parts_is_one(decoder: MessageDecoder) -> None:
    board = TaskBoard()
    assert board.apply(snapshot(decoder, fields("new"), more=True)) == []
    assert not board.is_known
    changes = board.apply(snapshot(decoder, fields("old", "of a later version")))
    assert [change.task_id for change in changes] == ["old", "new"]
    assert (list(board.tasks), board.counts) == (["old", "new"], {"running": 7})
    assert board.is_known
    assert changes[1].fields["of_a_later_version"] == [1]


def test_changes_and_deletions_follow(decoder: MessageDecoder) -> None:
    board = TaskBoard()
    board.apply(snapshot(decoder, fields("b"), fields("a")))
    (change,) = board.apply(read(decoder, "task", {"task": fields("a", "failed")}))
    assert (change.task_id, change.task and change.task.state) == ("a", "failed")
    (change,) = board.apply(read(decoder, "task", {"task_id": "b", "deleted": True}))
    assert (change.task, change.fields) == (None, {"task_id": "b", "deleted": True})
    assert list(board.tasks) == ["a"]


def test_after_a_break_only_what_differs_is_a_change(decoder: MessageDecoder) -> None:
    board = TaskBoard()
    board.apply(snapshot(decoder, fields("gone"), fields("b"), fields("a")))
    board.apply(snapshot(decoder, fields("lost with the connection"), more=True))
    board.apply(read(decoder, "hello", {"cursor": "e.9", "resumed": True}))
    changes = board.apply(snapshot(decoder, fields("b", "succeeded"), fields("a")))
    assert [change.task_id for change in changes] == ["b"]
    assert list(board.tasks) == ["a", "b"]


def test_a_board_is_bounded_and_ended_tasks_go_first(
    decoder: MessageDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_board, "MAX_TASKS", 2)
    board = TaskBoard()
    for task in (fields("runs"), fields("over", "succeeded"), fields("c"), fields("d")):
        board.apply(read(decoder, "task", {"task": task}))
    assert list(board.tasks) == ["c", "d"]


@pytest.mark.parametrize(
    "content",
    [{"task": {"task_id": 1}}, {"task": fields("a", last_at="soon")}, {"deleted": "yes"}],
)
def test_another_programs_stream_is_refused(
    decoder: MessageDecoder, content: dict[str, Any]
) -> None:
    with pytest.raises(NotRelaysStream):
        read(decoder, "task", content)


def test_the_client_knows_the_states_of_the_server() -> None:
    assert sorted(TASK_STATES) == sorted(SHOWN_STATES)


@pytest.mark.parametrize(
    ("wanted", "passes"),
    [
        (TaskFilter(), True),
        (TaskFilter(states=("failed", "running")), True),
        (TaskFilter(states=("failed",)), False),
        (TaskFilter(search="KE TE"), True),
        (TaskFilter(search="lint"), False),
        (TaskFilter(parent_id="p"), False),
        (TaskFilter(task_ids=("a", "b")), True),
        (TaskFilter(task_ids=("b",)), False),
        (TaskFilter(hidden=True), False),
    ],
)
def test_a_filter_passes_what_it_names(wanted: TaskFilter, passes: bool) -> None:
    assert wanted.matches(read_task(fields("a"))) is passes


def test_a_filter_is_a_query() -> None:
    wanted = TaskFilter(("running", "lost"), "p", ("a", "b"), "x", hidden=True)
    assert wanted.parameters() == [
        *(("state", "running,lost"), ("task_id", "a"), ("task_id", "b")),
        *(("parent_id", "p"), ("q", "x"), ("hidden", "true")),
    ]
    assert TaskFilter().parameters() == []
