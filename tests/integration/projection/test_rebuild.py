"""Tasks made anew from the stored events are those of the plain fold, and what people did stays."""

from copy import copy
from functools import partial
from random import Random
from uuid import UUID

import pytest
import trio

from relay.db.pool import Database, connect
from relay.db.projections import select_projected
from relay.events import EVENT_TYPES, Event
from relay.projection import rebuild as rebuild_module
from relay.projection.rebuild import Rebuilt, rebuild
from tests.support.databases import database_of
from tests.support.patience import PATIENCE
from tests.support.projecting import PAYLOADS, new_users, process, publish
from tests.support.projections import project_all, stored_events, stored_tasks
from tests.support.task_events import event, folded_one_by_one

WRONG = """
    UPDATE tasks SET state = 'lost track', message = 'wrong', events = 99, run = run + 7,
        first_seq = 1, progress = 0.125, metrics = '{"x":1}', ended_at = NULL;
    INSERT INTO tasks (user_id, task_id, revision, run, state, first_seq, last_seq, events,
        started_at, last_at, started_ts)
    SELECT user_id, 'of no event', 1, 1, 'running', 1, 1, 1, now(), now(), '' FROM projections
"""


async def store(database: Database, history: list[Event]) -> UUID:
    """A new user with these events."""
    (user_id,) = await new_users(database, 1)
    await database.execute(
        """
        INSERT INTO events
            (user_id, seq, event_id, event_type, task_id, ts, received_at, payload)
        SELECT $1, * FROM unnest(
            $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[],
            $8::text[]
        )
        """,
        user_id,
        [one.seq for one in history],
        [one.id for one in history],
        [one.event_type for one in history],
        [one.task_id for one in history],
        [one.ts for one in history],
        [one.received_at for one in history],
        [one.payload for one in history],
    )
    await database.execute(
        "UPDATE users SET last_seq = $2 WHERE user_id = $1", user_id, len(history)
    )
    return user_id


async def trimmed(database: Database, user_id: UUID, oldest: int) -> None:
    await database.execute("DELETE FROM events WHERE user_id = $1 AND seq < $2", user_id, oldest)
    await database.execute("UPDATE users SET oldest_seq = $2 WHERE user_id = $1", user_id, oldest)


async def rebuilt(url: str, user_id: UUID, max_tasks: int = 1_000) -> Rebuilt | None:
    async with connect(url, timeout=PATIENCE) as connection:
        return await rebuild(connection, user_id, max_tasks=max_tasks)


async def counters(database: Database, user_id: UUID) -> tuple[int, ...]:
    row = await database.fetchrow(
        "SELECT seq, tasks, marks FROM projections WHERE user_id = $1", user_id
    )
    return tuple(row or ())


def random_history(seed: int) -> list[Event]:
    random = Random(seed)
    return [
        event(
            seq,
            random.choice(EVENT_TYPES),
            random.choice(PAYLOADS),
            task_id=random.choice(["a", "b", "c", None]),
        )
        for seq in range(1, random.randint(2, 40))
    ]


async def test_wrong_rows_become_those_of_the_plain_fold_and_right_ones_stay(
    database_url: str,
) -> None:
    async with database_of(database_url) as database:
        stored = [(await store(database, one), one) for one in map(random_history, range(20))]
        await project_all(database)
        await database.execute(WRONG)
        for user_id, history in stored:
            expected = folded_one_by_one(history)
            await rebuilt(database_url, user_id)
            assert await stored_tasks(database, user_id) == expected
            assert await counters(database, user_id) == (len(history), len(expected), 0)
            await trimmed(database, user_id, Random(len(history)).randint(1, len(history) + 1))
            assert await rebuilt(database_url, user_id) == Rebuilt(len(expected), 0)
            assert await stored_tasks(database, user_id) == expected


async def test_what_people_hid_and_forgot_stays_so(database_url: str) -> None:
    history = [
        event(seq, "task_started", '{"title":"t"}', task_id=task_id)
        for seq, task_id in enumerate(("hidden", "forgotten", "shown"), 1)
    ]
    async with database_of(database_url) as database:
        user_id = await store(database, history)
        await project_all(database)
        await database.execute("SELECT set_tasks_hidden($1, '{hidden}', true)", user_id)
        await database.execute("SELECT forget_tasks($1, 'forgotten', 10)", user_id)
        await database.execute("UPDATE tasks SET title = 'wrong' WHERE user_id = $1", user_id)
        assert await rebuilt(database_url, user_id) == Rebuilt(2, 2)
        rows = await database.fetch(
            "SELECT task_id, title, hidden, forgotten FROM tasks ORDER BY task_id"
        )
        assert [tuple(row) for row in rows] == [
            ("forgotten", "wrong", False, True),
            ("hidden", "t", True, False),
            ("shown", "t", False, False),
        ]
        assert await counters(database, user_id) == (3, 2, 1)


async def test_no_more_tasks_come_back_than_the_bound_allows(database_url: str) -> None:
    history = [event(seq, "task_started", "{}", task_id=f"t{seq}") for seq in range(1, 7)]
    async with database_of(database_url) as database:
        user_id = await store(database, history)
        await project_all(database)
        await database.execute("DELETE FROM tasks WHERE task_id IN ('t1', 't2', 't6')")
        assert await rebuilt(database_url, user_id, 4) == Rebuilt(4, 1)
        assert sorted(await stored_tasks(database, user_id)) == ["t3", "t4", "t5", "t6"]
        assert await rebuilt(database_url, user_id, 4) == Rebuilt(4, 0)


async def test_it_is_safe_while_processes_store_and_fold(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild_module, "PAGE_EVENTS", 7)
    async with process(database_url) as one:
        (user_id,) = await new_users(one.database, 1)
        await publish(one.journal, user_id, 1, 20)
        with trio.fail_after(PATIENCE):
            await one.projector.catch_up(user_id, 20)
        await one.database.execute("UPDATE tasks SET events = 99 WHERE user_id = $1", user_id)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(publish, one.journal, user_id, 2, 100))
            for _ in range(5):
                await rebuilt(database_url, user_id)
        head = (await select_projected(one.database, [user_id]))[user_id].last_seq
        with trio.fail_after(PATIENCE):
            await one.projector.catch_up(user_id, head)
        expected = folded_one_by_one(await stored_events(one.database, user_id))
        assert await stored_tasks(one.database, user_id) == expected
        before = {task_id: copy(task) for task_id, task in expected.items()}
        assert await rebuilt(database_url, user_id) == Rebuilt(len(expected), 0)
        assert await stored_tasks(one.database, user_id) == before


async def test_a_user_that_is_gone_or_has_no_tasks_has_none_made(database_url: str) -> None:
    async with database_of(database_url) as database:
        (user_id,) = await new_users(database, 1)
    assert await rebuilt(database_url, user_id) is None
    assert await rebuilt(database_url, UUID(int=7)) is None
