"""What streams that ask for tasks are sent, with the changes that come at an awkward moment."""

from uuid import UUID, uuid4

import msgspec
import trio

from relay.projection.projector import Projector
from relay.realtime.task_feeds import TaskFeed, TaskFeeds
from tests.support.databases import database_of
from tests.support.hub_events import a_hub
from tests.support.patience import LOOK_EVERY, PATIENCE


async def changes(feed: TaskFeed) -> list[dict[str, str]]:
    """The next messages that wait for the stream."""
    with trio.fail_after(PATIENCE):
        while not feed.has_changes:  # noqa: ASYNC110 - a feed sets no Event
            await trio.sleep(LOOK_EVERY)
    return [msgspec.json.decode(message)["task"] for message in feed.take()]


async def test_a_lease_that_ends_after_the_snapshot_and_before_the_first_look_is_sent(
    database_url: str,
) -> None:
    async with database_of(database_url) as database:
        hub = a_hub()
        projector = Projector(database, max_tasks=1_000)
        feeds, user_id = TaskFeeds(database, projector, hub), uuid4()
        await store_task(database_url, user_id)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(projector.run)
            snapshot = await feeds.read_snapshot(user_id, 1)
            assert [task.state for task in snapshot.tasks] == ["running"]
            with (
                hub.subscribe(user_id, uuid4(), "192.0.2.1") as inbox,
                feeds.subscribe(inbox, snapshot) as feed,
            ):
                # the lease of 60 s ended five seconds ago, and nothing has looked since
                await database.execute("UPDATE tasks SET last_at = now() - interval '65 seconds'")
                nursery.start_soon(feeds.run)
                assert [task["state"] for task in await changes(feed)] == ["lost"]
            nursery.cancel_scope.cancel()


async def store_task(database_url: str, user_id: UUID) -> None:
    """A user with one task with a lease, up to date."""
    async with database_of(database_url) as database:
        await database.execute(
            "INSERT INTO users (user_id, epoch, last_seq) VALUES ($1, 'e', 1)", user_id
        )
        await database.execute(
            "INSERT INTO projections (user_id, seq, revision, tasks) VALUES ($1, 1, 1, 1)", user_id
        )
        await database.execute(
            """
            INSERT INTO tasks (user_id, task_id, revision, run, state, first_seq, last_seq, events,
                started_at, last_at, started_ts, lease_s)
            VALUES ($1, 'silent', 1, 1, 'running', 1, 1, 1, now(), now(), '', 60)
            """,
            user_id,
        )
