"""Notifications are made with the change that they are about, for the channels that ask for it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import trio

from relay.db.channels import remove_channel, set_visible
from relay.db.notifications import OutboxBounds
from relay.db.outbox import Outbox
from relay.db.pool import Database
from relay.db.projections import Projected, select_projected
from relay.projection import projector
from tests.support.making import happened, made, posted, stored_channel
from tests.support.patience import PATIENCE
from tests.support.projecting import Process, new_users, process
from tests.support.projections import project_all


@pytest.fixture
async def here(database_url: str) -> AsyncIterator[Process]:
    async with process(database_url) as one:
        yield one


async def left_out(database: Database, user_id: UUID) -> list[str]:
    rows = await database.fetch(
        "SELECT outcome FROM deliveries WHERE user_id = $1 ORDER BY delivery_id", user_id
    )
    return [row["outcome"] for row in rows]


async def test_a_fold_makes_what_happened_in_it_and_nothing_for_users_without_channels(
    here: Process,
) -> None:
    user_id, other = await new_users(here.database, 2)
    await stored_channel(here.database, user_id)
    history = [
        *(happened("started"), happened("failed", message="no"), happened("started")),
        *(happened("progress", waiting=True), happened("succeeded", "u")),
        happened("failed", canceled=True),
    ]
    for one in (user_id, other):
        await posted(here, one, *history)
    assert await made(here.database, user_id) == [
        *(("failed", "t", 1), ("waiting", "t", 2), ("canceled", "t", 2), ("succeeded", "u", 1)),
    ]
    assert await made(here.database, other) == []


async def test_an_end_that_follows_a_new_channel_is_made_by_a_round_that_has_looked_before(
    here: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, go_on = trio.Event(), trio.Event()

    async def select_and_wait(database: Database, users: list[UUID]) -> dict[UUID, Projected]:
        found = await select_projected(database, users)
        looked.set()
        await go_on.wait()
        return found

    (user_id,) = await new_users(here.database, 1)
    monkeypatch.setattr(projector, "select_projected", select_and_wait)
    await here.journal.append(user_id, [happened("started")])
    await looked.wait()
    await stored_channel(here.database, user_id)
    (receipt,) = await here.journal.append(user_id, [happened("failed")])
    go_on.set()
    with trio.fail_after(PATIENCE):
        await here.projector.catch_up(user_id, receipt.seq)
    assert await made(here.database, user_id) == [("failed", "t", 1)]


async def test_what_is_due_is_ready_at_once_unless_it_is_behind_another_one_of_its_task(
    here: Process,
) -> None:
    (user_id,) = await new_users(here.database, 1)
    await stored_channel(here.database, user_id)
    twice = [happened(kind) for kind in ("started", "failed") * 2]
    await posted(here, user_id, *twice, happened("failed", "u"))
    await posted(here, user_id, happened("started"), happened("failed"))
    rows = await here.database.fetch(
        "SELECT task_id, run, stage FROM notifications ORDER BY position"
    )
    assert [tuple(row) for row in rows] == [
        *(("t", 1, "ready"), ("t", 2, "later"), ("u", 1, "ready"), ("t", 3, "later"))
    ]


async def test_rules_of_each_channel_choose(here: Process) -> None:
    (user_id,) = await new_users(here.database, 1)
    first = await stored_channel(here.database, user_id, events=("failed",))
    second = await stored_channel(
        here.database, user_id, events=("succeeded", "failed"), min_duration_s=120.0
    )
    await posted(
        here,
        user_id,
        happened("succeeded", "short", duration_s=119.9),
        happened("succeeded", "long", duration_s=120),
        happened("failed", "bad", duration_s=1),
        happened("failed", "stopped", canceled=True),
    )
    rows = await here.database.fetch("SELECT channel_id, task_id FROM notifications")
    assert sorted(map(tuple, rows), key=str) == sorted(
        [(first, "bad"), (second, "bad"), (second, "long")], key=str
    )


async def test_two_processes_make_each_once(database_url: str) -> None:
    async with process(database_url) as one, process(database_url) as other:
        (user_id,) = await new_users(one.database, 1)
        await stored_channel(one.database, user_id)

        async def load(through: Process, name: str) -> None:
            for number in range(20):
                await through.journal.append(user_id, [happened("failed", f"{name}{number}")])

        async with trio.open_nursery() as nursery:
            for through, name in ((one, "a"), (other, "b")):
                nursery.start_soon(load, through, name)
        with trio.fail_after(PATIENCE):
            await other.projector.catch_up(user_id, 40)
        found = await made(one.database, user_id)
        assert sorted(found) == sorted(
            ("failed", f"{name}{n}", 1) for name in "ab" for n in range(20)
        )


async def test_what_an_ended_process_did_not_fold_is_made_by_another(here: Process) -> None:
    (user_id,) = await new_users(here.database, 1)
    await stored_channel(here.database, user_id)
    here.folding.cancel()
    await here.journal.append(user_id, [happened("failed")])
    assert await made(here.database, user_id) == []
    await project_all(here.database)
    assert await made(here.database, user_id) == [("failed", "t", 1)]


async def test_nothing_is_made_while_a_page_is_looked_at_and_that_is_noted(here: Process) -> None:
    (user_id,) = await new_users(here.database, 1)
    await stored_channel(here.database, user_id, unless_watched=True)
    await set_visible(here.database, user_id, 60)
    await posted(here, user_id, happened("failed", "seen"))
    await set_visible(here.database, user_id, 0)
    await posted(here, user_id, happened("failed", "unseen"))
    assert await made(here.database, user_id) == [("failed", "unseen", 1)]
    assert await left_out(here.database, user_id) == ["watched"]


async def test_over_the_rate_it_is_due_later_and_over_the_bound_it_is_left_out(
    database_url: str,
) -> None:
    bounds = OutboxBounds(timedelta(hours=1), 2, timedelta(seconds=1), 100, max_waiting=5)
    async with process(database_url, Outbox(bounds)) as here:
        (user_id,) = await new_users(here.database, 1)
        await stored_channel(here.database, user_id)
        for first in (0, 4):
            events = [happened("failed", f"{first + n}") for n in range(4)]
            await posted(here, user_id, *events)
        rows = await here.database.fetch(
            "SELECT round(extract(epoch FROM due_at - made_at))::integer AS later_s"
            " FROM notifications ORDER BY position"
        )
        assert [row["later_s"] for row in rows[:4]] == [0, 0, 3_600, 7_200]
        assert len(rows) == 5
        assert 7_200 < rows[4]["later_s"] <= 10_800  # it was made later
        assert await left_out(here.database, user_id) == ["left_out"] * 3


async def test_a_removed_channel_takes_along_what_waits_for_it(here: Process) -> None:
    (user_id,) = await new_users(here.database, 1)
    channel_id = await stored_channel(here.database, user_id)
    await posted(here, user_id, happened("failed"))
    assert not await remove_channel(here.database, uuid4(), channel_id, by=uuid4())
    assert await remove_channel(here.database, user_id, channel_id, by=uuid4())
    await posted(here, user_id, happened("failed", "u"))
    for table in ("notifications", "notified_users", "deliveries", "channels"):
        assert await here.database.fetchval(f"SELECT count(*) FROM {table}") == 0
