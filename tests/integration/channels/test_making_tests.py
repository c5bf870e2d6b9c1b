"""A test of a channel counts for its rates, and waits where its receiver has asked for it."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import cast
from uuid import UUID, uuid4

import pytest
import trio

from relay.db.channels import MadeTest, add_channel, add_test
from relay.db.notifications import OutboxBounds
from relay.db.pool import Database, DatabaseConnection, connect, open_database
from tests.support.channels import new_channel, pass_time
from tests.support.databases import begin
from tests.support.patience import PATIENCE
from tests.support.projecting import new_users

TOGETHER = 8
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url, connections=TOGETHER, timeout=PATIENCE) as opened:
        yield opened


async def a_channel(database: Database, user_id: UUID) -> UUID:
    new = new_channel(user_id)
    await add_channel(database, new, at_most=20)
    return new.channel_id


async def send_test(
    database: Database | DatabaseConnection, user_id: UUID, channel_id: UUID, bounds: OutboxBounds
) -> MadeTest:
    return await add_test(
        cast("Database", database), user_id, channel_id, by=uuid4(), bounds=bounds
    )


async def test_tests_at_the_same_moment_are_as_many_as_the_rate_has_left(
    database: Database,
) -> None:
    (user_id,) = await new_users(database, 1)
    channel_id = await a_channel(database, user_id)
    made: list[MadeTest] = []

    async def one(bounds: OutboxBounds) -> None:
        made.append(await send_test(database, user_id, channel_id, bounds))

    async with trio.open_nursery() as nursery:
        for _ in range(TOGETHER):
            nursery.start_soon(one, OutboxBounds(HOUR, 3))
    assert Counter(one.outcome for one in made) == {"made": 3, "channel": TOGETHER - 3}
    waits = [one.wait_s for one in made if one.wait_s is not None]
    assert waits == [pytest.approx(3_600, abs=PATIENCE)] * (TOGETHER - 3)
    assert await database.fetchval("SELECT count(*) FROM notifications") == 3
    await pass_time(database, 3_601)
    assert (await send_test(database, user_id, channel_id, OutboxBounds(HOUR, 3))).outcome == "made"


async def test_one_that_began_before_those_it_waited_for_is_refused_no_sooner(
    database: Database, database_url: str
) -> None:
    (user_id,) = await new_users(database, 1)
    channel_id = await a_channel(database, user_id)
    bounds = OutboxBounds(HOUR, 3, HOUR, 3)
    async with connect(database_url, timeout=PATIENCE) as early:
        await begin(early, "SELECT now()")
        for _ in range(2):
            assert (await send_test(database, user_id, channel_id, bounds)).outcome == "made"
        assert (await send_test(early, user_id, channel_id, bounds)).outcome == "made"
        await early.execute("COMMIT")
    assert (await send_test(database, user_id, channel_id, bounds)).outcome == "channel"


async def test_the_channels_of_a_user_share_a_rate(database: Database) -> None:
    (user_id,) = await new_users(database, 1)
    one, other = [await a_channel(database, user_id) for _ in range(2)]
    bounds = OutboxBounds(MINUTE, 10, HOUR, 1)
    assert (await send_test(database, user_id, one, bounds)).outcome == "made"
    found = await send_test(database, user_id, other, bounds)
    assert (found.outcome, found.notification_id) == ("user", None)


async def test_a_receiver_that_asks_to_wait_is_waited_for_and_our_own_pause_is_not(
    database: Database,
) -> None:
    (user_id,) = await new_users(database, 1)
    channel_id = await a_channel(database, user_id)
    await database.execute("UPDATE channels SET paused_until = now() + interval '1 hour'")
    assert (await send_test(database, user_id, channel_id, OutboxBounds())).outcome == "made"
    await database.execute("UPDATE channels SET asked_until = now() + interval '1 hour'")
    found = await send_test(database, user_id, channel_id, OutboxBounds())
    assert found.outcome == "asked"
    assert found.wait_s == pytest.approx(3_600, abs=PATIENCE)
    await pass_time(database, 3_601)
    assert (await send_test(database, user_id, channel_id, OutboxBounds())).outcome == "made"


async def test_nothing_is_made_where_nothing_can_be_sent(database: Database) -> None:
    user_id, other = await new_users(database, 2)
    channel_id = await a_channel(database, user_id)
    full = OutboxBounds(max_waiting=1)
    assert (await send_test(database, other, channel_id, full)).outcome == "blocked"
    assert (await send_test(database, user_id, channel_id, full)).outcome == "made"
    assert (await send_test(database, user_id, channel_id, full)).outcome == "blocked"
    await database.execute("UPDATE channels SET ended_at = now()")
    assert (await send_test(database, user_id, channel_id, OutboxBounds())).outcome == "blocked"
    assert await database.fetchval("SELECT count(*) FROM notifications") == 1
