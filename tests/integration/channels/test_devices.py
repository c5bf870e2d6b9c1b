"""A device is one channel of its user, as long as its session has not ended."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import trio

from relay.db.channels import KeptChannel, add_channel, select_channels
from relay.db.pool import Database, connect, open_database
from relay.db.users import end_other_sessions, end_session
from relay.errors import InvalidToken
from tests.support.channels import new_channel
from tests.support.databases import begin
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.projecting import new_users
from tests.support.sending import finish, take

TOGETHER = 8
UNSORTED = "&enable_indexscan=off&enable_bitmapscan=off"  # statements find rows as they lie
WAITS = """
    SELECT count(*) > 0 FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND datname = current_database()
"""


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url, connections=TOGETHER, timeout=PATIENCE) as opened:
        yield opened


async def new_session(database: Database, user_id: UUID, *, days: int = 1) -> UUID:
    """A session that expires in so many days, or has."""
    session_id: UUID = await database.fetchval(
        """
        INSERT INTO sessions (session_id, user_id, expires_at)
        VALUES ($1, $2, now() + $3 * interval '1 day') RETURNING session_id
        """,
        uuid4(),
        user_id,
        days,
    )
    return session_id


async def add_device(
    database: Database, user_id: UUID, by: UUID, device: str, *, at_most: int = 20, **rules: Any
) -> KeptChannel:
    """Add a device as its request does: under the id that its channel has already."""
    new = new_channel(user_id, kind="webpush", created_by=by, device=device, **rules)
    found = await add_channel(database, new, at_most=at_most)
    while found.outcome == "other":
        assert found.channel_id is not None
        again = new._replace(channel_id=found.channel_id)
        found = await add_channel(database, again, at_most=at_most)
    return found


async def devices(database: Database, user_id: UUID) -> list[str]:
    """The subscriptions of a user's channels, in the order in which they were added."""
    rows = await database.fetch(
        "SELECT subscription_id FROM channels WHERE user_id = $1 ORDER BY created_at", user_id
    )
    return [row["subscription_id"] for row in rows]


async def actions(database: Database, user_id: UUID) -> list[tuple[str, UUID]]:
    """What the audit log has of a user's channels and sessions."""
    rows = await database.fetch(
        "SELECT action, subject FROM audit_log WHERE user_id = $1 ORDER BY audit_id", user_id
    )
    return [(row["action"], row["subject"]) for row in rows]


async def waiting(database: Database, user_id: UUID, channel_id: UUID | None) -> None:
    """Something that waits for a channel."""
    await database.execute(
        "INSERT INTO notifications (user_id, channel_id, state, due_at)"
        " VALUES ($1, $2, 'failed', now())",
        user_id,
        channel_id,
    )


async def test_a_device_that_subscribes_again_is_the_same_channel(database: Database) -> None:
    (user_id,) = await new_users(database, 1)
    by, later = [await new_session(database, user_id) for _ in range(2)]
    first = await add_device(database, user_id, by, "a", at_most=1)
    await waiting(database, user_id, first.channel_id)
    again = await add_device(database, user_id, later, "a", at_most=1, events=("lost",))
    assert (first.outcome, again.outcome) == ("added", "replaced")
    (only,) = await select_channels(database, user_id)
    assert (only.channel_id, only.created_by, only.waiting) == (first.channel_id, later, 1)
    assert only.events == ["lost"]
    assert await actions(database, user_id) == [("channel_added", by), ("channel_replaced", later)]


async def test_a_renewed_subscription_goes_on_as_the_channel_of_the_one_before(
    database: Database,
) -> None:
    (user_id,) = await new_users(database, 1)
    by = await new_session(database, user_id)
    first = await add_device(database, user_id, by, "a", at_most=1)
    await database.execute(
        "UPDATE channels SET ended_at = now(), failures = 3, last_error = 'gone',"
        " paused_until = 'infinity', asked_until = 'infinity'"
    )
    for _ in range(2):  # the answer to the first was lost
        renewed = await add_device(database, user_id, by, "b", at_most=1, replaces="a", host="h")
        assert renewed == ("replaced", first.channel_id)
    assert await devices(database, user_id) == ["b"]
    row = await database.fetchrow("SELECT *, paused_until > now() AS paused FROM channels")
    assert row is not None
    assert (row["ended_at"], row["failures"], row["last_error"]) == (None, 0, None)
    assert (row["paused"], row["host"]) == (False, "h")


async def test_what_waits_for_a_paused_channel_is_due_for_the_subscription_in_its_place(
    database: Database,
) -> None:
    (user_id,) = await new_users(database, 1)
    by = await new_session(database, user_id)
    first = await add_device(database, user_id, by, "a")
    for _ in range(2):
        await waiting(database, user_id, first.channel_id)
    await database.execute("UPDATE channels SET paused_until = now() + interval '1 hour'")
    # the same moment, as a pause writes it: a later one would stay later
    await database.execute("UPDATE notifications SET due_at = paused_until FROM channels")
    await add_device(database, user_id, by, "a")  # the same one: its push service is still away
    assert await take(database) == []
    await add_device(database, user_id, by, "b", replaces="a")
    assert len(await take(database)) == 2


async def test_the_end_of_a_subscription_is_not_that_of_the_one_in_its_place(
    database: Database,
) -> None:
    (user_id,) = await new_users(database, 1)
    by = await new_session(database, user_id)
    first = await add_device(database, user_id, by, "a", sealed=b"a")
    for _ in range(2):
        await waiting(database, user_id, first.channel_id)
    (under_way, _) = await take(database)
    await add_device(database, user_id, by, "b", replaces="a", sealed=b"b")
    await finish(database, under_way, "failed", ends_channel=True)  # by the answer to the first
    (channel,) = await select_channels(database, user_id)
    assert (channel.ended_at, channel.last_error, channel.waiting) == (None, None, 2)
    (again,) = await take(database)  # the other one is still under way
    assert (again.notification_id, again.sealed) == (under_way.notification_id, b"b")
    await finish(database, again, "failed", ends_channel=True)
    (channel,) = await select_channels(database, user_id)
    assert (channel.ended_at is None, channel.waiting) == (False, 0)


async def test_a_renewal_of_what_is_not_there_adds_nothing(database: Database) -> None:
    user_id, other = await new_users(database, 2)
    by, elsewhere = [await new_session(database, one) for one in (user_id, other)]
    await add_device(database, other, elsewhere, "a")
    assert await add_device(database, user_id, by, "b", replaces="a") == ("unknown", None)
    assert await devices(database, user_id) == []
    assert await devices(database, other) == ["a"]


async def test_a_renewal_to_what_is_there_already_leaves_one(database: Database) -> None:
    (user_id,) = await new_users(database, 1)
    by = await new_session(database, user_id)
    old = await add_device(database, user_id, by, "a")
    new = await add_device(database, user_id, by, "b")
    await waiting(database, user_id, old.channel_id)
    assert await add_device(database, user_id, by, "b", replaces="a") == (
        "replaced",
        new.channel_id,
    )
    assert await devices(database, user_id) == ["b"]
    assert await database.fetchval("SELECT count(*) FROM notifications") == 0


async def test_a_device_that_subscribes_many_times_at_once_is_one_channel(
    database: Database,
) -> None:
    (user_id,) = await new_users(database, 1)
    by = await new_session(database, user_id)
    await add_device(database, user_id, by, "a")
    found: list[KeptChannel] = []

    async def one(device: str) -> None:
        found.append(await add_device(database, user_id, by, device, at_most=1, replaces="a"))

    async with trio.open_nursery() as nursery:
        for _ in range(TOGETHER):
            nursery.start_soon(one, "b")
    assert len(set(found)) == 1
    assert await devices(database, user_id) == ["b"]


async def test_a_session_that_ends_takes_its_devices_along(database: Database) -> None:
    user_id, other = await new_users(database, 2)
    lost, kept = [await new_session(database, user_id) for _ in range(2)]
    strangers = await new_session(database, other)
    gone = await add_device(database, user_id, lost, "lost")
    await waiting(database, user_id, gone.channel_id)
    await add_channel(database, new_channel(user_id, created_by=lost), at_most=20)
    await add_device(database, user_id, kept, "kept")
    await add_device(database, other, strangers, "lost")
    await end_session(database, lost, user_id)
    await end_session(database, lost, user_id)  # which ends once
    assert await devices(database, user_id) == [None, "kept"]
    assert await devices(database, other) == ["lost"]
    assert await database.fetchval("SELECT count(*) FROM notifications") == 0
    assert (await actions(database, user_id))[3:] == [
        ("session_ended", lost),
        ("channel_removed", lost),
    ]


async def test_channels_that_are_removed_are_locked_in_their_order(
    database: Database, database_url: str
) -> None:
    (user_id,) = await new_users(database, 1)
    by = await new_session(database, user_id)
    *later, first = sorted((uuid4() for _ in range(4)), reverse=True)
    for channel_id in (*later, first):  # as the rows lie in the table
        await add_device(database, user_id, by, channel_id.hex, channel_id=channel_id)
    lock = "SELECT FROM channels WHERE channel_id = ANY ($1) FOR NO KEY UPDATE NOWAIT"
    unsorted = f"{database_url}{UNSORTED}"
    async with (
        open_database(unsorted, connections=2, timeout=PATIENCE) as remover,
        connect(database_url, timeout=PATIENCE) as writer,
        trio.open_nursery() as nursery,
    ):
        await begin(writer, "")
        await writer.fetch(lock, [first])  # as results are written
        nursery.start_soon(end_session, remover, by, user_id)
        with trio.fail_after(PATIENCE):
            while not await database.fetchval(WAITS):  # noqa: ASYNC110 - locks set no Event
                await trio.sleep(LOOK_EVERY)
        await writer.fetch(lock, later)
        await writer.execute("COMMIT")
    assert await devices(database, user_id) == []


async def test_all_other_sessions_take_their_devices_along_even_expired_ones(
    database: Database,
) -> None:
    (user_id,) = await new_users(database, 1)
    here, there = [await new_session(database, user_id) for _ in range(2)]
    expired = await new_session(database, user_id, days=-1)
    for by, device in ((here, "here"), (there, "there"), (expired, "old")):
        await add_device(database, user_id, by, device)
    assert await end_other_sessions(database, here, user_id) == [there]
    assert await devices(database, user_id) == ["here"]
    removed = {one for one in await actions(database, user_id) if one[0] == "channel_removed"}
    assert removed == {("channel_removed", there), ("channel_removed", expired)}


async def test_the_last_device_of_a_user_leaves_nothing_to_notify(database: Database) -> None:
    (user_id,) = await new_users(database, 1)
    by = await new_session(database, user_id)
    await add_device(database, user_id, by, "a")
    await end_session(database, by, user_id)
    assert await database.fetchval("SELECT count(*) FROM notified_users") == 0


async def test_a_device_is_not_added_by_a_session_that_has_ended(database: Database) -> None:
    (user_id,) = await new_users(database, 1)
    by = await new_session(database, user_id)
    ended: list[str] = []

    async def add(number: int) -> None:
        try:
            await add_device(database, user_id, by, f"device-{number}")
        except InvalidToken:
            ended.append(f"device-{number}")

    async with trio.open_nursery() as nursery:
        for number in range(TOGETHER):
            nursery.start_soon(add, number)
        nursery.start_soon(end_session, database, by, user_id)
    assert await devices(database, user_id) == []
    await add(TOGETHER)
    assert f"device-{TOGETHER}" in ended
