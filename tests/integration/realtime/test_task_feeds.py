"""What streams that ask for tasks are sent, with the changes that come at an awkward moment."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
import trio

from relay.db import changed_tasks, task_pages
from relay.db.changed_tasks import ChangedTask
from relay.db.pool import Database
from relay.projection.projector import Projector
from relay.realtime import task_backlogs, task_feeds
from relay.realtime.close_codes import Close
from relay.realtime.hub import Hub
from relay.realtime.inbox import Inbox
from relay.realtime.task_feeds import Snapshot, TaskFeed, TaskFeeds
from tests.support.databases import database_of
from tests.support.hub_events import a_hub
from tests.support.patience import LOOK_EVERY, PATIENCE, eventually
from tests.support.stored_tasks import store_tasks


class Stage:
    """The tasks of one user, and the streams that ask for them."""

    def __init__(self, database: Database, hub: Hub, feeds: TaskFeeds, user_id: UUID) -> None:
        self.database = database
        self.feeds = feeds
        self.user_id = user_id
        self._hub = hub

    async def snapshot(self) -> Snapshot:
        return await self.feeds.read_snapshot(self.user_id, 1)

    @asynccontextmanager
    async def stream(
        self, snapshot: Snapshot | None = None
    ) -> AsyncIterator[tuple[Inbox, TaskFeed]]:
        """A stream that asks for tasks, with its snapshot unsent: a new one unless it is given."""
        snapshot = snapshot or await self.snapshot()
        with (
            self._hub.subscribe(self.user_id, uuid4(), "192.0.2.1") as inbox,
            self.feeds.subscribe(inbox, snapshot) as feed,
        ):
            yield inbox, feed

    async def change(self, columns: str) -> None:
        """Change all tasks, as a fold does: in one transaction."""
        await self.database.execute(
            "UPDATE projections SET revision = revision + 1;"
            f"UPDATE tasks SET revision = revision + 1, {columns}"
        )
        self.feeds.touch(self.user_id)

    async def end_leases(self) -> None:
        """Have the leases of all tasks, of 60 s, end now."""
        await self.database.execute("UPDATE tasks SET last_at = now() - interval '60 seconds'")


@asynccontextmanager
async def stage(database_url: str, tasks: int, **columns: Any) -> AsyncIterator[Stage]:
    async with database_of(database_url) as database, trio.open_nursery() as nursery:
        hub = a_hub()
        projector = Projector(database, max_tasks=1_000)
        feeds = TaskFeeds(database, projector, hub)
        nursery.start_soon(projector.run)
        yield Stage(database, hub, feeds, await store_tasks(database, tasks, **columns))
        nursery.cancel_scope.cancel()


async def controls(feed: TaskFeed) -> list[list[dict[str, Any]]]:
    """The controls of the snapshot, part by part."""
    parts = []
    while messages := await feed.snapshot.next_messages():
        parts.append([msgspec.json.decode(message) for message in messages])
    return parts


def states(tasks: list[dict[str, Any]]) -> dict[str, str]:
    return {task["task_id"]: task["state"] for task in tasks}


async def changes(feed: TaskFeed, count: int = 1) -> list[dict[str, str]]:
    """The messages that wait for the stream, once there are so many."""
    messages: list[bytes] = []
    with trio.fail_after(PATIENCE):
        while len(messages) < count:
            messages += feed.backlog.take_each()
            await trio.sleep(LOOK_EVERY)
    return [msgspec.json.decode(message)["task"] for message in messages]


async def test_a_lease_that_ends_after_the_snapshot_and_before_the_first_look_is_sent(
    database_url: str,
) -> None:
    async with (
        stage(database_url, 1, lease_s="60") as set_up,
        trio.open_nursery() as nursery,
        set_up.stream() as (_inbox, feed),
    ):
        ((control,),) = await controls(feed)
        assert states(control["tasks"]) == {"t00": "running"}
        await set_up.end_leases()
        nursery.start_soon(set_up.feeds.run)
        assert [task["state"] for task in await changes(feed)] == ["lost"]
        nursery.cancel_scope.cancel()


async def test_a_lease_whose_end_is_sent_to_others_while_a_stream_opens_is_sent_to_it_too(
    database_url: str,
) -> None:
    async with (
        stage(database_url, 1, lease_s="60") as set_up,
        trio.open_nursery() as nursery,
        set_up.stream() as (_inbox, feed),
    ):
        nursery.start_soon(set_up.feeds.run)
        snapshot = await set_up.snapshot()  # its answer is on the way
        await set_up.end_leases()
        assert [task["state"] for task in await changes(feed)] == ["lost"]
        async with set_up.stream(snapshot) as (_inbox, newcomer):
            ((control,),) = await controls(newcomer)
            assert states(control["tasks"]) == {"t00": "running"}
            assert [task["state"] for task in await changes(newcomer)] == ["lost"]
        nursery.cancel_scope.cancel()


async def test_a_stream_that_opens_in_the_middle_of_a_look_gets_what_it_missed_of_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changed_tasks, "MAX_READ_BYTES", 2_500)  # three small tasks
    begun, go = trio.Event(), trio.Event()

    async def each_change(*given: Any, **times: Any) -> AsyncGenerator[list[ChangedTask], None]:
        async with aclosing(changed_tasks.each_change(*given, **times)) as parts:
            async for part in parts:
                yield part
                begun.set()
                await go.wait()

    monkeypatch.setattr(task_feeds, "each_change", each_change)
    expected = dict.fromkeys([f"t{number:02}" for number in range(8)], "new")
    async with (
        stage(database_url, 8) as set_up,
        trio.open_nursery() as nursery,
        set_up.stream() as (_inbox, feed),
    ):
        await set_up.change("message = 'old'")
        snapshot = await set_up.snapshot()
        await set_up.change("message = 'new'")
        nursery.start_soon(set_up.feeds.run)
        with trio.fail_after(PATIENCE):
            await begun.wait()
        async with set_up.stream(snapshot) as (_inbox, newcomer):
            go.set()
            for one in (feed, newcomer):
                latest: dict[str, str] = {}
                while latest != expected:
                    latest |= {task["task_id"]: task["message"] for task in await changes(one)}
        nursery.cancel_scope.cancel()


async def test_a_snapshot_is_read_as_it_is_sent(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_pages, "MAX_READ_BYTES", 2_500)  # three small tasks
    async with stage(database_url, 8) as set_up, set_up.stream() as (_inbox, feed):
        first = [msgspec.json.decode(one) for one in await feed.snapshot.next_messages()]
        await set_up.database.execute("UPDATE tasks SET state = 'failed' WHERE task_id = 't03'")
        await set_up.database.execute("DELETE FROM tasks WHERE task_id = 't01'")
        parts = [first, *await controls(feed)]
        assert [[states(control["tasks"]) for control in part] for part in parts] == [
            [{"t07": "running", "t06": "running", "t05": "running"}],
            [{"t04": "running", "t03": "failed", "t02": "running"}],
            [{"t00": "running"}],
        ]
        assert [control["more"] for part in parts for control in part] == [True, True, False]
        assert {control["cursor"] for part in parts for control in part} == {"e.8"}
        assert [control["counts"] for part in parts for control in part] == [{"running": 8}] * 3
        assert await feed.snapshot.next_messages() == []


async def test_many_changes_are_read_in_parts_and_all_are_sent(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changed_tasks, "MAX_READ_BYTES", 2_500)
    expected = [f"t{number:02}" for number in range(20)]
    async with (
        stage(database_url, 20, lease_s="60") as set_up,
        trio.open_nursery() as nursery,
        set_up.stream() as (_inbox, feed),
    ):
        nursery.start_soon(set_up.feeds.run)
        await set_up.change("message = 'new'")
        found = await changes(feed, 20)
        assert [(task["task_id"], task["message"]) for task in found] == [
            (task_id, "new") for task_id in expected
        ]
        await set_up.change("last_at = now() - interval '59.5 seconds'")
        latest: dict[str, str] = {}
        while latest != dict.fromkeys(expected, "lost"):
            latest |= states(await changes(feed))
        nursery.cancel_scope.cancel()


async def test_a_reader_that_leaves_too_much_waiting_has_to_come_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_backlogs, "MAX_WAITING_BYTES", 3_000)  # five small tasks, at least
    async with (
        stage(database_url, 4) as set_up,
        trio.open_nursery() as nursery,
        set_up.stream() as (inbox, feed),
    ):
        nursery.start_soon(set_up.feeds.run)
        for number in range(3):  # the latest of each task waits, and no other
            await set_up.change(f"message = '{number}'")
            await eventually(lambda: feed.seen == number + 2)  # noqa: B023
        assert inbox.closing is None
        await set_up.change("title = repeat('t', 300), message = repeat('m', 300)")
        await eventually(lambda: inbox.closing is Close.RESTART)
        assert not feed.backlog
        nursery.cancel_scope.cancel()
