"""A task that is lost is noted once, until it is heard of again."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from relay.db.migrate import load_migrations, migrate
from relay.db.notifications import OutboxBounds, note_lost_tasks
from relay.db.pool import Database, connect
from relay.projection.rebuild import rebuild
from tests.support.making import happened, made, posted, stored_channel
from tests.support.patience import PATIENCE
from tests.support.projecting import Process, new_users, process

MIGRATIONS = load_migrations(Path(__file__).parents[3] / "sql")
BEFORE = 21  # the last migration with which a note is void once its task was heard of again


@pytest.fixture
async def here(database_url: str) -> AsyncIterator[Process]:
    async with process(database_url) as one:
        yield one


async def lost_after(here: Process, user_id: UUID, seconds: float) -> int:
    """Let the user's tasks be silent for so long, and note those that are lost."""
    await here.database.execute(
        "UPDATE tasks SET last_at = last_at - $2 * interval '1 second' WHERE user_id = $1",
        user_id,
        seconds,
    )
    await here.database.execute(
        "UPDATE notified_users SET since = since - $2 * interval '1 second' WHERE user_id = $1",
        user_id,
        seconds,
    )
    return await note_lost_tasks(here.database, OutboxBounds())


async def test_a_lost_task_is_noted_once_until_it_is_found_again(here: Process) -> None:
    user_id, other = await new_users(here.database, 2)
    await stored_channel(here.database, user_id)
    for one in (user_id, other):
        await posted(here, one, happened("started", lease_s=3_600))
    assert await lost_after(here, user_id, 1_800) == 0
    assert await lost_after(here, user_id, 3_600) == 1
    assert await note_lost_tasks(here.database, OutboxBounds()) == 0
    assert await lost_after(here, other, 7_200) == 0
    await posted(here, user_id, happened("progress"))
    assert await lost_after(here, user_id, 1_800) == 0
    assert await lost_after(here, user_id, 3_600) == 1
    await here.database.execute("SELECT renew_leases($1, $2, 0)", user_id, ["t"])
    assert await note_lost_tasks(here.database, OutboxBounds()) == 0
    assert await made(here.database, user_id) == [("lost", "t", 1)] * 2


async def test_what_was_lost_before_there_was_a_channel_is_no_news(here: Process) -> None:
    (user_id,) = await new_users(here.database, 1)
    await posted(here, user_id, happened("started", lease_s=10))
    await lost_after(here, user_id, 60)
    await stored_channel(here.database, user_id)
    assert await note_lost_tasks(here.database, OutboxBounds()) == 0
    assert await made(here.database, user_id) == []
    assert await unnoted(here.database) == 0
    await posted(here, user_id, happened("progress"))
    assert await lost_after(here, user_id, 15) == 1


async def unnoted(database: Database) -> int:
    """How many tasks with a lease are not noted as lost."""
    count: int = await database.fetchval("SELECT count(*) FROM tasks WHERE lost_after IS NULL")
    return count


async def test_a_look_comes_to_no_task_that_is_noted(here: Process) -> None:
    (user_id,) = await new_users(here.database, 1)
    await stored_channel(here.database, user_id)
    names = [f"t{number}" for number in range(900)]
    await posted(here, user_id, *(happened("started", name, lease_s=10) for name in names))
    await lost_after(here, user_id, 60)
    while await unnoted(here.database):
        await note_lost_tasks(here.database, OutboxBounds())
    await here.database.execute("VACUUM ANALYZE tasks")
    await posted(here, user_id, happened("progress", "t7"))
    plan = await here.database.fetchval(
        "EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM select_tasks_to_note(NULL, 500)"
    )
    assert rows_of_tasks(json.loads(plan)[0]["Plan"]) == 1


def rows_of_tasks(node: dict[str, Any]) -> int:
    """How many rows of tasks a plan came to."""
    here = node["Actual Rows"] + sum(n for key, n in node.items() if key.startswith("Rows Removed"))
    own = here * node["Actual Loops"] if node.get("Relation Name") == "tasks" else 0
    return int(own + sum(rows_of_tasks(part) for part in node.get("Plans", ())))


async def test_events_that_are_folded_once_more_make_no_lost_task_news(
    here: Process, database_url: str
) -> None:
    (user_id,) = await new_users(here.database, 1)
    await stored_channel(here.database, user_id)
    await posted(here, user_id, happened("started", lease_s=10))
    assert await lost_after(here, user_id, 60) == 1
    await here.database.execute("UPDATE events SET received_at = (SELECT last_at FROM tasks)")
    await here.database.execute("UPDATE tasks SET title = 'of an older version'")
    async with connect(database_url, timeout=PATIENCE) as connection:
        rebuilt = await rebuild(connection, user_id, max_tasks=1_000)
    assert rebuilt is not None
    assert rebuilt.changed == 1
    assert await note_lost_tasks(here.database, OutboxBounds()) == 0
    await posted(here, user_id, happened("progress"))
    assert await lost_after(here, user_id, 15) == 1


async def test_a_task_with_an_event_that_is_not_folded_yet_is_not_lost(here: Process) -> None:
    (user_id,) = await new_users(here.database, 1)
    await stored_channel(here.database, user_id)
    await posted(here, user_id, happened("started", lease_s=10))
    here.folding.cancel()
    await here.journal.append(user_id, [happened("progress")])
    assert await lost_after(here, user_id, 60) == 0


async def test_notes_that_are_void_are_removed_by_the_migration(empty_database_url: str) -> None:
    """Those of tasks that were heard of after it; the others stay."""
    async with connect(empty_database_url, timeout=PATIENCE) as connection:
        await migrate(connection, MIGRATIONS[:BEFORE])
        await connection.execute(
            """
            INSERT INTO tasks (
                user_id, task_id, revision, run, state, first_seq, last_seq, events, started_at,
                last_at, started_ts, lease_s, beat_at, lost_after
            )
            SELECT $1, task_id, 1, 1, 'running', 1, 1, 1, now(), at, '', 90, beat_at, lost_after
            FROM now() AS at, make_interval(hours => 1) AS hour, LATERAL (VALUES
                ('never lost', NULL, NULL), ('lost', NULL, at),
                ('lost after a beat', at + hour, at + hour),
                ('an event since', NULL, at - hour), ('a beat since', at + hour, at)
            ) AS task (task_id, beat_at, lost_after)
            """,
            uuid4(),
        )
        await migrate(connection, MIGRATIONS)
        rows = await connection.fetch("SELECT task_id FROM tasks WHERE lost_after IS NOT NULL")
    assert {row["task_id"] for row in rows} == {"lost", "lost after a beat"}
