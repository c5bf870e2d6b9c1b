"""Pages of stored tasks: bounded by their size, with the verdict `lost` to the moment."""

import pytest

from relay.db import task_pages
from relay.db.shown_tasks import StoredTaskFilter
from relay.db.task_pages import (
    SnapshotPart,
    StoredTaskPage,
    select_snapshot,
    select_task_page,
)
from tests.support.databases import database_of
from tests.support.stored_tasks import store_tasks


def ids(page: StoredTaskPage) -> list[str]:
    return [task.task_id for task in page.tasks]


async def test_a_page_of_large_tasks_is_cut_and_the_next_goes_on(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_pages, "MAX_READ_BYTES", 3_500)  # a small one counts as 1 000
    async with database_of(database_url) as database:
        user_id = await store_tasks(database, 9, title="repeat('x', CASE n WHEN 5 THEN 5000 END)")
        found, before = [], None
        while True:
            page = await select_task_page(database, user_id, StoredTaskFilter(before=before), 100)
            found.append(ids(page))
            assert page.counts == {"running": 9}
            if not page.is_cut:
                break
            before = page.tasks[-1].last_seq
        assert found == [
            ["t08", "t07", "t06", "t05"],
            ["t04"],  # larger than the bound, and alone therefore
            ["t03", "t02", "t01", "t00"],
        ]
        page = await select_task_page(database, user_id, StoredTaskFilter(), 2)
        assert (ids(page), page.is_cut) == (["t08", "t07"], True)
        page = await select_task_page(database, user_id, StoredTaskFilter(before=3), 2)
        assert (ids(page), page.is_cut) == (["t01", "t00"], False)


async def test_a_snapshot_in_parts_has_so_many_tasks_of_each_kind(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_pages, "MAX_READ_BYTES", 2_500)
    async with database_of(database_url) as database:
        state = "CASE n % 3 WHEN 0 THEN 'running' ELSE 'failed' END"
        user_id = await store_tasks(database, 30, state=state)
        found, part = [], SnapshotPart(active=6, ended=7)
        whole = await select_snapshot(database, user_id, part)
        assert len(whole.tasks) == 3
        reads = 0
        rest: SnapshotPart | None = part
        while rest is not None:
            page = await select_snapshot(database, user_id, rest)
            found += page.tasks
            rest, reads = rest.after(page), reads + 1
        seqs = [task.last_seq for task in found]
        assert seqs == sorted(seqs, reverse=True)
        assert reads == 5
        running = [task.last_seq for task in found if task.state == "running"]
        ended = [task.last_seq for task in found if task.state == "failed"]
        assert running == [30, 27, 24, 21, 18, 15]
        assert ended == [29, 28, 26, 25, 23, 22, 20]


@pytest.mark.parametrize("away", ["an hour ago", "until just now"])
async def test_outages_count_for_the_tasks_that_they_silenced_alone(
    database_url: str, away: str
) -> None:
    """Each task is lost exactly when its lease has ended, whatever the statement knows before."""
    async with database_of(database_url) as database:
        # silent for 0, 60, … seconds, with leases of 90 s
        heard = "now() - (n - 1) * interval '60 seconds'"
        user_id = await store_tasks(database, 100, last_at=heard, lease_s="90")
        if away == "an hour ago":
            await database.execute("INSERT INTO readiness (ready_at) VALUES (now())")
            await database.execute(
                "INSERT INTO outages VALUES"
                " (now() - interval '70 minutes', now() - interval '60 minutes'),"
                " (now() - interval '10 minutes', now() - interval '9 minutes')"
            )
        else:
            await database.execute(
                "INSERT INTO readiness (ready_at) VALUES (now() - interval '30 minutes')"
            )
        rows = await database.fetch(
            "SELECT task_id FROM tasks WHERE now() > lease_ends_at(last_at, lease_s)"
        )
        lost = {row["task_id"] for row in rows}
        page = await select_task_page(database, user_id, StoredTaskFilter(), 500)
        assert {task.task_id for task in page.tasks if task.state == "lost"} == lost
        assert page.counts == {"lost": len(lost), "running": 100 - len(lost)}
        assert all(task.lost_at for task in page.tasks if task.state == "lost")
        filtered = await select_task_page(database, user_id, StoredTaskFilter(states=["lost"]), 500)
        assert set(ids(filtered)) == lost
        assert 2 < len(lost) < 100
