"""Events of tasks for tests: made one by one, or at random."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from relay.events import EVENT_TYPES, NOTE_TYPES, Event
from relay.tasks.fold import fold, task_of
from relay.tasks.segments import Segment, add_events
from relay.tasks.task import FoldedTask

START = datetime(2026, 11, 29, 10, tzinfo=UTC)
TASKS = ("build-1", "build-2", None)

payloads = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            "title": st.sampled_from(["a", "b", "", "nul \0 in it", 5, None]),
            "message": st.sampled_from(["one", "one\ntwo\n", " ", "", "three\r\n \r\n", 7]),
            "progress": st.sampled_from([0, 0.25, 1, 2, "0.5", True]),
            "metrics": st.sampled_from([{"loss": 0.5}, {"loss": 0.25, "n": 3}, {"bad": "x"}, 1]),
            "parent_id": st.sampled_from(["p", "no id", 1]),
            "url": st.sampled_from(["https://relay.example/", "javascript:1"]),
            "lease_s": st.sampled_from([10, 90, 9, "90"]),
            "waiting": st.sampled_from([True, False]),
            "exit_code": st.sampled_from([0, 1, 1.5]),
            "duration_s": st.sampled_from([0, 1.5, -1]),
            "canceled": st.sampled_from([True, False]),
            "ask_id": st.sampled_from(["ask-1", "ask-2"]),
        },
    ).map(json.dumps),
    st.sampled_from(
        ['{"progress":1e400,"title":"t"}', '{"title":"a","title":"b"}', "[]", '"text"', "null"]
    ),
)


def event(
    seq: int, event_type: str, payload: str, *, task_id: str | None = "build-1", ts: str = ""
) -> Event:
    """One stored event; seqs are a second apart."""
    at = START + timedelta(seconds=seq)
    return Event(
        "epoch", seq, f"event-{seq}", event_type, task_id, ts or at.isoformat(), payload, at
    )


def numbered(drawn: Sequence[tuple[str, str | None, str]]) -> list[Event]:
    """Stored events from types, tasks and payloads."""
    return [
        event(seq, event_type, payload, task_id=task_id)
        for seq, (event_type, task_id, payload) in enumerate(drawn, 1)
    ]


histories: st.SearchStrategy[list[Event]] = st.lists(
    st.tuples(st.sampled_from((*EVENT_TYPES, *NOTE_TYPES)), st.sampled_from(TASKS), payloads),
    max_size=30,
).map(numbered)


def folded_one_by_one(history: Sequence[Event]) -> dict[str, FoldedTask]:
    """The plain fold: one event after the other."""
    tasks: dict[str, FoldedTask] = {}
    for one in history:
        task_id = task_of(one)
        if task_id is not None:
            segments: list[Segment] = []
            add_events(segments, [one])
            task = fold(tasks.get(task_id), task_id, segments)
            if task is not None:
                tasks[task_id] = task
    return tasks
