"""A task is folded anew after its older events are trimmed, and comes out as it was stored."""

from copy import copy

from hypothesis import example, given
from hypothesis import strategies as st

from relay.events import Event
from relay.tasks.fold import add_to_tasks, fold, task_of
from relay.tasks.segments import Segment
from relay.tasks.trimmed import base_of, completed
from tests.support.task_events import event, folded_one_by_one, histories

STARTED = event(1, "task_started", '{"title":"a","parent_id":"p","lease_s":90}')
ENDED = event(2, "task_failed", '{"exit_code":2,"message":"broke"}')
LATE = event(3, "task_succeeded", '{"exit_code":0}')
AGAIN = event(4, "task_started", "{}")


@example([STARTED, ENDED, LATE, AGAIN], 2)
@example([STARTED, ENDED, LATE, AGAIN], 3)
@example([STARTED, ENDED, LATE, AGAIN], 4)
@example([STARTED, ENDED, LATE], 3)
@given(histories, st.integers(1, 32))
def test_what_events_made_is_made_of_any_rest_of_them(history: list[Event], oldest: int) -> None:
    stored = folded_one_by_one(history)
    kept: dict[str, list[Segment]] = {}
    add_to_tasks(kept, [one for one in history if one.seq >= oldest])
    known = {task_of(one) for one in history} - {None}
    made = {}
    for task_id in known:
        assert task_id is not None
        before = copy(stored.get(task_id))
        base = base_of(before, oldest)
        task = completed(before, fold(base, task_id, kept.get(task_id, [])), oldest)
        assert before == stored.get(task_id), "the stored one is left as it is"
        if task is not None:
            made[task_id] = task
    assert made == stored


def test_a_wrong_row_is_mended_as_far_as_the_events_tell() -> None:
    history = [STARTED, ENDED]
    wrong = copy(folded_one_by_one(history)["build-1"])
    wrong.state, wrong.exit_code, wrong.ended_at, wrong.message = "running", None, None, "wrong"
    kept: dict[str, list[Segment]] = {}
    add_to_tasks(kept, history[1:])
    task = completed(wrong, fold(base_of(wrong, 2), "build-1", kept["build-1"]), 2)
    assert task == folded_one_by_one(history)["build-1"]
