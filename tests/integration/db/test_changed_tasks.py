"""A reader of changes finds the tasks that have changed by their keys, whatever changed them."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from relay.db import changed_tasks
from relay.db.changed_tasks import Changed, ChangedTask, each_change, select_revisions
from relay.db.pool import Database
from relay.db.task_changes import forget_tasks, renew_leases, request_stop, set_hidden
from tests.support.databases import database_of
from tests.support.stored_tasks import store_tasks

KEPT = 32  # changes that a projection names

Change = Callable[[Database, UUID], Awaitable[object]]


async def hide(database: Database, user_id: UUID) -> None:
    await set_hidden(database, user_id, ["t01"], hidden=True)


async def forget(database: Database, user_id: UUID) -> None:
    await forget_tasks(database, user_id, task_id="t01", max_marks=100)


async def stop(database: Database, user_id: UUID) -> None:
    await request_stop(database, user_id, "t01", 1, by=uuid4())


async def beat(database: Database, user_id: UUID) -> None:
    """Of a task that is lost: it is found again."""
    await renew_leases(database, user_id, ["t01"])


async def fold(database: Database, user_id: UUID, first: int = 1, count: int = 1) -> None:
    """Change tasks in one revision, as a fold does."""
    ids = [f"t{number:02}" for number in range(first, first + count)]
    await database.execute(
        """
        WITH begun AS (
            UPDATE projections SET revision = revision + 1 WHERE user_id = $1 RETURNING revision
        )
        INSERT INTO tasks AS t (user_id, task_id, revision, run, state, first_seq, last_seq, events,
            started_at, last_at, started_ts)
        SELECT $1, task_id, b.revision, 1, 'running', 1, 1, 1, now(), now(), ''
        FROM begun b, unnest($2::text[]) AS task_id
        ON CONFLICT (user_id, task_id) DO UPDATE SET revision = excluded.revision
        """,
        user_id,
        ids,
    )


async def changes(
    database: Database, seen: dict[UUID, int], changed: dict[UUID, Changed]
) -> list[ChangedTask]:
    moment = datetime.now(UTC)
    found: list[ChangedTask] = []
    async for part in each_change(database, seen, changed, {}, moment):
        found += part
    return found


@pytest.mark.parametrize("change", [hide, forget, stop, beat, fold], ids=lambda one: one.__name__)
async def test_every_kind_of_change_names_its_task(database_url: str, change: Change) -> None:
    columns = {"stoppable": "true", "lease_s": "60", "last_at": "now() - interval '1 hour'"}
    async with database_of(database_url) as database:
        user_id, other = [await store_tasks(database, 3, **columns) for _ in range(2)]
        await fold(database, user_id, first=2)  # the first change that is noted
        seen = {user_id: 2, other: 1}
        assert (await select_revisions(database, seen)).changed == {}
        await change(database, user_id)
        changed = (await select_revisions(database, seen)).changed
        assert changed == {user_id: Changed(3, ["t01"])}
        (one,) = await changes(database, seen, changed)
        assert (one.user_id, one.task_id, one.revision) == (user_id, "t01", 3)
        assert (one.view is None) is (change is forget)


async def test_a_task_that_came_and_those_that_it_displaced_are_named(database_url: str) -> None:
    async with database_of(database_url) as database:
        user_id = await store_tasks(database, 3, state="'failed'", ended_at="now()")
        await fold(database, user_id, first=7)
        await database.execute("UPDATE projections SET tasks = 4")
        await database.execute("SELECT keep_tasks_within($1, 2)", user_id)
        assert sorted(await task_ids_after(database, user_id, 1) or ()) == ["t00", "t01", "t07"]


async def test_a_reader_that_is_further_behind_looks_at_all_tasks(database_url: str) -> None:
    async with database_of(database_url) as database:
        user_id = await store_tasks(database, 40)
        # before the first change that is noted, and after more changes than are kept
        assert await task_ids_after(database, user_id, 0) is None
        await fold(database, user_id, first=1)  # revision 2
        await fold(database, user_id, first=2, count=KEPT - 1)  # 3
        assert len(await task_ids_after(database, user_id, 1) or ()) == KEPT
        await fold(database, user_id, first=35)  # 4
        assert await task_ids_after(database, user_id, 1) is None
        assert len(await task_ids_after(database, user_id, 2) or ()) == KEPT
        assert await task_ids_after(database, user_id, 3) == ["t35"]
        await fold(database, user_id, first=0, count=KEPT + 1)  # 5
        assert await task_ids_after(database, user_id, 4) is None
        seen = {user_id: 4}
        found = await changes(database, seen, (await select_revisions(database, seen)).changed)
        assert [one.task_id for one in found] == [f"t{number:02}" for number in range(KEPT + 1)]


async def task_ids_after(database: Database, user_id: UUID, seen: int) -> list[str] | None:
    changed = (await select_revisions(database, {user_id: seen})).changed
    task_ids = changed[user_id].task_ids
    return None if task_ids is None else list(task_ids)


async def test_the_tasks_that_were_lost_are_those_since_a_time_of_each_user(
    database_url: str,
) -> None:
    async with database_of(database_url) as database:
        # the lease of one task ended about a day ago, that of the other about two days ago
        columns = {"lease_s": "60", "last_at": "now() - n * interval '1 day'"}
        one, other = [await store_tasks(database, 2, **columns) for _ in range(2)]
        now = datetime.now(UTC)
        since = {one: now - timedelta(days=1.5), other: now - timedelta(days=2.5)}
        found = [lost async for part in each_change(database, {}, {}, since, now) for lost in part]
        assert sorted((lost.user_id, lost.task_id) for lost in found) == sorted(
            [(one, "t00"), (other, "t00"), (other, "t01")]
        )
        assert {(lost.revision, lost.view and lost.view.state) for lost in found} == {
            (None, "lost")
        }


async def test_a_change_reads_no_more_rows_of_a_user_with_many_tasks(database_url: str) -> None:
    async with database_of(database_url) as database:
        user_id = await store_tasks(database, 3)
        await fold(database, user_id, first=100, count=3_000)
        await database.execute("ANALYZE tasks")
        await fold(database, user_id, first=1)
        await fold(database, user_id, first=2)
        assert await task_ids_after(database, user_id, 3) == ["t02"]
        now = datetime.now(UTC)
        answer = await database.fetchval(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {changed_tasks._CHANGES}",
            *([], [], [], [], now, UUID(int=0), "", 10**6, [user_id], ["t02"], [3]),
        )
        (explained,) = msgspec.json.decode(answer)
        assert 1 <= most_rows(explained["Plan"]) <= 10


def most_rows(node: dict[str, Any]) -> Any:
    """The most rows that a part of the plan read."""
    removed = sum(rows for name, rows in node.items() if name.startswith("Rows Removed"))
    own = (node["Actual Rows"] + removed) * node["Actual Loops"]
    return max([own, *(most_rows(part) for part in node.get("Plans", ()))])
