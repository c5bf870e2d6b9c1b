"""What is stored of a deleted user is deleted in steps, however many, and by any process."""

from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID, uuid4

import pytest
import trio
from structlog.testing import capture_logs

from relay.background.deletion import Deletion, clear_deleted_users
from relay.db.deleted_users import clear_user, select_users_to_clear
from relay.db.pool import Database, connect, open_database
from relay.db.projections import Advance, write_advances
from relay.tasks.fold import fold
from relay.tasks.segments import Segment, add_events
from tests.support.databases import begin, until_waiting
from tests.support.patience import PATIENCE, eventually
from tests.support.task_events import event
from tests.support.user_rows import rows_of

EVENTS = 1_200


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url, connections=4, timeout=PATIENCE) as opened:
        yield opened


async def user_with_rows(database: Database, events: int = EVENTS) -> UUID:
    """A user of whose events the first hundred are trimmed, with as many tasks as events."""
    user_id = uuid4()
    await database.execute(
        "INSERT INTO users (user_id, epoch, oldest_seq, last_seq) VALUES ($1, 'e', 101, $2)",
        user_id,
        events,
    )
    await database.execute(
        """
        INSERT INTO events (user_id, seq, event_id, event_type, ts, received_at, payload)
        SELECT $1, seq, 'e' || seq, 'log', '2026-01-31T12:00:00Z', now(), '{}'
        FROM generate_series(101, $2::integer) AS seq
        """,
        user_id,
        events,
    )
    await database.execute(
        """
        INSERT INTO trimmed_events (user_id, event_id, seq, received_at)
        SELECT $1, 'e' || seq, seq, now() FROM generate_series(1, 100) AS seq
        """,
        user_id,
    )
    await database.execute("INSERT INTO projections (user_id, seq) VALUES ($1, $2)", user_id, 1)
    await database.execute(
        """
        INSERT INTO tasks (user_id, task_id, revision, run, state, first_seq, last_seq, events,
            started_at, last_at, started_ts)
        SELECT $1, 't' || seq, 0, 1, 'running', seq, seq, 1, now(), now(), ''
        FROM generate_series(1, $2::integer) AS seq
        """,
        user_id,
        events,
    )
    return user_id


async def test_each_step_deletes_a_bounded_number_of_rows(database: Database) -> None:
    user_id, other = await user_with_rows(database), await user_with_rows(database, 150)
    kept = await rows_of(database, str(other))
    await database.execute("DELETE FROM users WHERE user_id = $1", user_id)
    steps: list[int] = []
    left = sum((await rows_of(database, str(user_id))).values())
    while await clear_user(database, user_id):
        now_left = sum((await rows_of(database, str(user_id))).values())
        steps.append(left - now_left)
        left = now_left
    assert max(steps) == 501  # of the tasks, and the projection with the first of them
    assert sum(steps) == 1_100 + 100 + 1_200 + 1
    assert await rows_of(database, str(user_id)) == {"deleted_users": 1}
    assert await select_users_to_clear(database, []) == []
    assert await rows_of(database, str(other)) == kept


async def test_two_processes_clear_the_same_user(database: Database) -> None:
    user_id = await user_with_rows(database)
    await database.execute("DELETE FROM users WHERE user_id = $1", user_id)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clear_deleted_users, database)
        nursery.start_soon(clear_deleted_users, database)
    assert await rows_of(database, str(user_id)) == {"deleted_users": 1}


async def test_a_refusal_of_the_database_is_an_error_in_the_log(database: Database) -> None:
    """Otherwise what was promised to be deleted would stay, unseen."""
    user_id = await user_with_rows(database, 101)
    await database.execute("DELETE FROM users WHERE user_id = $1", user_id)
    await database.execute("ALTER FUNCTION clear_user RENAME TO clear_user_away")
    deletion = Deletion(database)
    with capture_logs() as logged:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(deletion.run)
            deletion.clear_soon()
            await eventually(lambda: bool(logged))
            nursery.cancel_scope.cancel()
    refused = {"event": "deletion_refused", "log_level": "error", "error": "UndefinedFunctionError"}
    assert logged == [refused]
    await database.execute("ALTER FUNCTION clear_user_away RENAME TO clear_user")


@pytest.mark.parametrize("fold_first", [True, False])
async def test_a_fold_that_was_under_way_leaves_no_task(
    database: Database, database_url: str, fold_first: bool
) -> None:
    user_id = await user_with_rows(database, 101)
    segments: list[Segment] = []
    add_events(segments, [event(2, "task_started", "{}")])
    task = fold(None, "late", segments)
    assert task is not None
    await database.execute("DELETE FROM users WHERE user_id = $1", user_id)
    while await database.fetchval("SELECT count(*) FROM trimmed_events"):
        await clear_user(database, user_id)
    written: list[dict[UUID, int]] = []

    async def write() -> None:
        advance = Advance(revision=0, seq=2, added=1, tasks=[task])
        written.append(await write_advances(database, {user_id: advance}, max_tasks=1_000))

    async def clear() -> None:
        await clear_user(database, user_id)

    order: list[Callable[[], Awaitable[None]]] = [write, clear] if fold_first else [clear, write]
    async with (
        connect(database_url, timeout=PATIENCE) as holder,
        connect(database_url, timeout=PATIENCE) as watcher,
        trio.open_nursery() as nursery,
    ):
        await begin(holder, "SELECT FROM projections FOR UPDATE")
        for waiting, one in enumerate(order, 1):
            nursery.start_soon(one)
            await until_waiting(watcher, waiting)
        await holder.execute("ROLLBACK")
    assert bool(written[0]) == fold_first
    await clear_deleted_users(database)
    assert await rows_of(database, str(user_id)) == {"deleted_users": 1}
