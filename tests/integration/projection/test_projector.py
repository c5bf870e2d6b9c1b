"""Stored tasks are what the acknowledged events make of them, whichever processes fold them."""

import json
from random import Random
from uuid import UUID, uuid4

import pytest
import trio

from relay.db.pool import Database
from relay.db.projections import Projected, select_behind, select_projected
from relay.db.task_changes import set_hidden
from relay.events import NewEvent, utc_now
from relay.projection import projector as projector_module
from relay.projection.pending_events import PendingEvents
from relay.tasks.segments import METRIC_BYTES
from tests.support.databases import database_of
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.projecting import new_event, new_users, process, publish
from tests.support.projections import project_all, stored_events, stored_tasks
from tests.support.task_events import event, folded_one_by_one


async def test_two_processes_that_store_for_the_same_users_fold_each_event_once(
    database_url: str,
) -> None:
    async with process(database_url) as one, process(database_url) as other:
        users = await new_users(one.database, 5)
        async with trio.open_nursery() as nursery:
            for number, user_id in enumerate(users):
                nursery.start_soon(publish, one.journal, user_id, number, 30)
                nursery.start_soon(publish, other.journal, user_id, 100 + number, 30)
        for user_id in users:
            events = await stored_events(one.database, user_id)
            with trio.fail_after(PATIENCE):
                await other.projector.catch_up(user_id, len(events))
            assert await stored_tasks(one.database, user_id) == folded_one_by_one(events)


async def test_what_an_ended_process_did_not_fold_is_folded_by_another(database_url: str) -> None:
    async with process(database_url) as one, process(database_url) as other:
        (user_id,) = await new_users(one.database, 1)
        await publish(one.journal, user_id, 1, 10)
        one.folding.cancel()
        await publish(one.journal, user_id, 2, 10)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other.projector.keep_up, 3600)
            events = await stored_events(one.database, user_id)
            with trio.fail_after(PATIENCE):
                await other.projector.catch_up(user_id, len(events))
            nursery.cancel_scope.cancel()
        assert await stored_tasks(one.database, user_id) == folded_one_by_one(events)


@pytest.mark.parametrize("is_offered", [False, True])
async def test_what_is_stored_after_a_round_has_looked_is_folded_by_the_next(
    database_url: str, monkeypatch: pytest.MonkeyPatch, is_offered: bool
) -> None:
    """A commit whose result was lost is not offered, and the user is looked at again. One that is
    offered follows an event of another process, so it cannot be folded from memory.
    """
    looked, go_on = trio.Event(), trio.Event()

    async def select_and_wait(database: Database, users: list[UUID]) -> dict[UUID, Projected]:
        found = await select_projected(database, users)
        looked.set()
        await go_on.wait()
        return found

    async with process(database_url) as one, process(database_url) as other:
        other.folding.cancel()
        (user_id,) = await new_users(one.database, 1)
        monkeypatch.setattr(projector_module, "select_projected", select_and_wait)
        one.projector.recheck(user_id)
        await looked.wait()
        await publish(other.journal, user_id, 1, 3)
        if is_offered:
            await publish(one.journal, user_id, 2, 3)
        else:
            one.projector.recheck(user_id)
        go_on.set()
        with trio.fail_after(PATIENCE):
            while await select_behind(one.database, 1):  # noqa: ASYNC110 - nothing is sent
                await trio.sleep(LOOK_EVERY)
        events = await stored_events(one.database, user_id)
        assert await stored_tasks(one.database, user_id) == folded_one_by_one(events)


async def test_events_beyond_the_space_in_memory_are_read_from_the_journal(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.projection.pending_events.MAX_EVENTS", 3)
    monkeypatch.setattr(projector_module, "MAX_READ_EVENTS", 4)
    async with process(database_url) as one:
        users = await new_users(one.database, 3)
        async with trio.open_nursery() as nursery:
            for number, user_id in enumerate(users):
                nursery.start_soon(publish, one.journal, user_id, number, 5)
        for user_id in users:
            events = await stored_events(one.database, user_id)
            with trio.fail_after(PATIENCE):
                await one.projector.catch_up(user_id, len(events))
            assert await stored_tasks(one.database, user_id) == folded_one_by_one(events)


async def test_the_tasks_that_ended_first_are_forgotten_beyond_the_bound(
    database_url: str,
) -> None:
    async with database_of(database_url) as database:
        (user_id,) = await new_users(database, 1)
        history = [("a", "task_started"), ("b", "task_started"), ("c", "task_started")]
        history += [("b", "task_succeeded"), ("a", "task_failed"), ("c", "log")]
        history += [("d", "task_started"), ("e", "task_started")]
        await database.execute(
            """
            INSERT INTO events
                (user_id, seq, event_id, event_type, task_id, ts, received_at, payload)
            SELECT $1, n, n::text, kind, task, '2026-11-29T10:00:00Z',
                now() + n * interval '1 second', '{}'
            FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS e (task, kind, n)
            """,
            user_id,
            [task for task, _ in history],
            [kind for _, kind in history],
        )
        await database.execute("UPDATE users SET last_seq = $2 WHERE user_id = $1", user_id, 8)
        await project_all(database, max_tasks=2)
        tasks = await stored_tasks(database, user_id)
        kept = {task_id for task_id, task in tasks.items() if not task.forgotten}
        assert kept == {"d", "e"}
        counters = await database.fetchrow("SELECT tasks, marks FROM projections")
        assert tuple(counters or ()) == (2, 2)


async def test_a_hidden_task_that_the_bound_has_pushed_out_comes_back_visible(
    database_url: str,
) -> None:
    async with process(database_url) as here:
        here.folding.cancel()
        (user_id,) = await new_users(here.database, 1)

        async def folded(task_id: str, *kinds: str, max_tasks: int) -> list[tuple[str, bool, bool]]:
            at = utc_now()
            ts = at.isoformat()
            new = [NewEvent(str(uuid4()), kind, task_id, ts, "{}", at) for kind in kinds]
            await here.journal.append(user_id, new)
            await project_all(here.database, max_tasks=max_tasks)
            rows = await here.database.fetch(
                "SELECT task_id, forgotten, hidden FROM tasks ORDER BY task_id"
            )
            return [tuple(row) for row in rows]

        await folded("a", "task_started", "task_succeeded", max_tasks=1)
        await set_hidden(here.database, user_id, ["a"], hidden=True)
        found = await folded("b", "task_started", max_tasks=1)
        assert found == [("a", True, False), ("b", False, False)]
        found = await folded("a", "task_started", max_tasks=2)
        assert found == [("a", False, False), ("b", False, False)]


def test_pending_events_keep_what_follows_without_a_hole() -> None:
    pending, user_id = PendingEvents(), uuid4()
    made = {seq: event(seq, "log", "{}") for seq in range(1, 9)}
    assert pending.add(user_id, [made[1], made[2]])
    assert pending.add(user_id, [made[3]])
    assert (pending.events, pending.bytes, pending.last_seq(user_id)) == (3, 6, 3)
    history = pending.take(user_id)
    assert history is not None
    assert (history.first_seq, history.last_seq, len(history.events)) == (1, 3, 3)
    assert (pending.events, pending.bytes, pending.take(user_id)) == (0, 0, None)
    assert pending.add(user_id, [made[4]])
    assert pending.add(user_id, [made[7]])  # 5 and 6 were stored by another process
    history = pending.take(user_id)
    assert history is not None
    assert (history.first_seq, history.last_seq) == (7, 7)


def test_many_events_are_joined_and_take_no_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.projection.pending_events.JOIN_EVENTS", 4)
    pending, user_id = PendingEvents(), uuid4()
    kinds = ["task_started", "log", "task_progress", "task_succeeded"]
    assert pending.add(user_id, [event(seq, kind, "{}") for seq, kind in enumerate(kinds, 1)])
    assert pending.has_many
    pending.join_many()
    assert (pending.has_many, pending.events, pending.bytes) == (False, 4, 4)
    assert pending.add(user_id, [event(5, "log", "{}")])
    history = pending.take(user_id)
    assert history is not None
    assert (history.first_seq, history.last_seq, pending.events, pending.bytes) == (1, 5, 0, 0)


def test_joined_events_take_the_space_of_their_metrics() -> None:
    pending, user_id = PendingEvents(), uuid4()
    numbers = json.dumps({"metrics": {f"n{number}": number for number in range(100)}})
    events = [event(seq, "task_progress", numbers, task_id=f"t{seq}") for seq in range(1, 1_001)]
    assert pending.add(user_id, events)
    joins = 0
    while pending.has_many:
        pending.join_many()
        joins += 1
    assert joins > 3  # other tasks of the process run in between
    assert (pending.events, pending.bytes) == (1_000, 1_000 * 100 * METRIC_BYTES)
    assert not pending.add(user_id, [event(1_001, "log", "{}")])
    assert (pending.events, pending.bytes) == (0, 0)


async def test_a_wholly_trimmed_stream_is_not_behind(database_url: str) -> None:
    async with database_of(database_url) as database:
        trimmed, behind = await new_users(database, 2)
        await database.execute("UPDATE users SET last_seq = 4")
        await database.execute("UPDATE users SET oldest_seq = 5 WHERE user_id = $1", trimmed)
        assert await select_behind(database, 10) == [behind]


async def test_a_reader_of_tasks_that_hold_already_waits_for_no_round(database_url: str) -> None:
    async with process(database_url) as here:
        (user_id,) = await new_users(here.database, 1)
        receipts = await here.journal.append(user_id, [new_event(Random(1), utc_now())])
        await here.projector.catch_up(user_id, receipts[0].seq)
        here.folding.cancel()  # no round follows
        with trio.fail_after(PATIENCE):
            for _ in range(10):
                await here.projector.catch_up(user_id, receipts[0].seq)
        stranger = uuid4()
        await here.projector.catch_up(stranger, 1)
