"""What is kept, for how long, and which gap is sent to readers."""

import json
from uuid import UUID

import pytest

from relay.background.deletion import clear_deleted_users
from relay.background.retention import expire_idle_users, trim_streams
from relay.background.sweeping import sweep
from relay.config.settings import Settings
from relay.db import retention
from relay.db.epochs import renew_epochs
from relay.db.expired_rows import SWEEP_BATCH
from relay.db.pool import Database
from relay.db.retention import USERS_AT_ONCE
from tests.support.databases import database_of
from tests.support.projections import count_as_folded
from tests.support.relay_server import Relay, User


def settings(**kept: str) -> Settings:
    return Settings.load({name.upper(): value for name, value in kept.items()})


async def stored(user: User) -> list[int]:
    answer = await user.call("GET", "/api/events")
    return [event["seq"] for event in answer.json()["events"]]


@pytest.mark.parametrize(
    "bound",
    [{"relay_retention_events": "3"}, {"relay_retention_bytes": "700"}],
    ids=["count", "bytes"],
)
async def test_a_stream_keeps_the_newest_within_its_bounds(
    relay: Relay, database_url: str, bound: dict[str, str]
) -> None:
    user, other = await relay.user(), await relay.user()
    await user.publish(8)
    await other.publish(2)
    async with database_of(database_url) as database:
        await count_as_folded(database)
        await trim_streams(database, settings(**bound))
    assert await stored(user) == [6, 7, 8]
    assert await stored(other) == [1, 2]


async def test_one_pass_trims_every_stream_however_many_exceed_their_bounds(
    relay: Relay, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "USERS_AT_ONCE", 2)
    users = [await relay.user() for _ in range(5)]
    for user in users:
        await user.publish(4)
    async with database_of(database_url) as database:
        await count_as_folded(database)
        await trim_streams(database, settings(relay_retention_events="3"))
    assert [await stored(user) for user in users] == [[2, 3, 4]] * 5


async def test_old_events_are_trimmed_and_a_cursor_before_them_gets_a_gap(
    relay: Relay, database_url: str
) -> None:
    user = await relay.user()
    receipts = await user.publish(5)
    async with database_of(database_url) as database:
        await database.execute(
            "UPDATE events SET received_at = received_at - interval '8 days' WHERE seq <= 3"
        )
        await count_as_folded(database)
        await trim_streams(database, settings())
    cursor = receipts[0]["cursor"]
    async with user.websocket(f"?after={cursor}") as stream:
        hello = await stream.hello()
        gap = await stream.control("gap")
        assert (hello["resumed"], hello["oldest"]) == (True, 4)
        assert (gap["from"], gap["to"], gap["cursor"]) == (2, 3, hello["cursor"])
        assert [event["seq"] for event in await stream.events(2)] == [4, 5]


async def pages_of_a_trim(database: Database, user: User) -> int:
    """How many pages one call reads that trims 500 of all but the last thousand."""
    plan = await database.fetchval(
        """
        EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)
        SELECT trim_stream($1, 1000, 1000000000, now() - interval '1 day', 500)
        """,
        UUID(user.user_id),
    )
    top = json.loads(plan)[0]["Plan"]
    return int(top["Shared Hit Blocks"] + top["Shared Read Blocks"])


async def test_a_trim_reads_only_the_events_it_trims(relay: Relay, database_url: str) -> None:
    user = await relay.user()
    async with database_of(database_url) as database:
        await database.execute("ALTER TABLE events SET (autovacuum_enabled = off)")
        await database.execute(
            """
            INSERT INTO events (user_id, seq, event_id, event_type, ts, received_at, payload)
            SELECT $1, seq, 'e' || seq, 'log', '2026-01-31T12:00:00Z', now(), '{}'
            FROM generate_series(1, 20000) AS seq
            """,
            UUID(user.user_id),
        )
        await database.execute("UPDATE users SET last_seq = 20000")
        await count_as_folded(database)
        pages = [await pages_of_a_trim(database, user) for _ in range(38)]
    assert (await user.call("GET", "/api/events?limit=1")).json()["oldest"] == 19_001
    # from the sixth on a statement's plan stays; each call that walked over all before would
    # read four pages more than the last. It may read fewer: Postgres tidies pages that it visits.
    assert pages[-1] - pages[10] < 40, pages


async def test_an_event_id_is_known_for_a_day_even_after_its_event_was_trimmed(
    relay: Relay, database_url: str
) -> None:
    user = await relay.user()
    first = await user.posted(event_id="once")
    await user.publish(3)
    async with database_of(database_url) as database:
        await count_as_folded(database)
        await trim_streams(database, settings(relay_retention_events="1"))
        again = await user.posted(event_id="once")
        assert (again["duplicate"], again["seq"]) == (True, first["seq"])
        await database.execute(
            "UPDATE trimmed_events SET received_at = received_at - interval '25 hours'"
        )
        await sweep(database, audit_days=90)
    anew = await user.posted(event_id="once")
    assert (anew["duplicate"], anew["seq"]) == (False, 5)


async def test_one_pass_deletes_all_that_has_expired(relay: Relay, database_url: str) -> None:
    """However much it is: a pass that left some would fall behind a busy stream for ever."""
    user = await relay.user()
    async with database_of(database_url) as database:
        await database.execute(
            """
            INSERT INTO trimmed_events (user_id, event_id, seq, received_at)
            SELECT $1, 'e' || seq, seq, now() - interval '25 hours'
            FROM generate_series(1, $2::integer) AS seq
            """,
            UUID(user.user_id),
            2 * SWEEP_BATCH + 1,
        )
        await database.execute(
            """
            INSERT INTO users (user_id, epoch, active_at)
            SELECT gen_random_uuid(), 'e', now() - interval '31 days'
            FROM generate_series(1, $1::integer)
            """,
            USERS_AT_ONCE + 1,
        )
        await sweep(database, audit_days=90)
        assert await database.fetchval("SELECT count(*) FROM trimmed_events") == 0
        await expire_idle_users(database, settings())
        assert await database.fetchval("SELECT count(*) FROM users") == 1
        await clear_deleted_users(database)
        cleared = "SELECT count(*) FROM deleted_users WHERE cleared_at IS NOT NULL"
        assert await database.fetchval(cleared) == USERS_AT_ONCE + 1


async def test_a_wholly_trimmed_stream_keeps_its_numbering(relay: Relay, database_url: str) -> None:
    user = await relay.user()
    receipts = await user.publish(4)
    async with database_of(database_url) as database:
        await database.execute("UPDATE events SET received_at = now() - interval '8 days'")
        await count_as_folded(database)
        await trim_streams(database, settings())
        assert (
            await database.fetchval(
                "SELECT stored_bytes FROM users WHERE user_id = $1", UUID(user.user_id)
            )
            == 0
        )
    answer = (await user.call("GET", f"/api/events?after={receipts[1]['cursor']}")).json()
    assert (answer["events"], answer["oldest"], answer["gap"]) == ([], 5, {"from": 3, "to": 4})
    assert (await user.posted())["seq"] == 5


async def test_an_idle_user_without_credentials_expires_with_its_events(
    relay: Relay, database_url: str
) -> None:
    gone, idle, busy = await relay.user(), await relay.user(), await relay.user()
    for user in (gone, idle, busy):
        await user.publish(2)
    async with database_of(database_url) as database:
        await database.execute("UPDATE users SET active_at = now() - interval '31 days'")
        for user in (gone, busy):
            await database.execute(
                "UPDATE sessions SET expires_at = now() WHERE user_id = $1", UUID(user.user_id)
            )
            await database.execute(
                "UPDATE tokens SET expires_at = now() WHERE user_id = $1", UUID(user.user_id)
            )
        await database.execute(
            "UPDATE users SET active_at = now() WHERE user_id = $1", UUID(busy.user_id)
        )
        await count_as_folded(database)
        await expire_idle_users(database, settings())
        await clear_deleted_users(database)
        left = await database.fetch("SELECT user_id FROM users")
        assert {row["user_id"] for row in left} == {UUID(idle.user_id), UUID(busy.user_id)}
        assert await database.fetchval("SELECT count(*) FROM events") == 4


async def test_a_renewed_epoch_is_reported_to_every_old_cursor(
    relay: Relay, database_url: str
) -> None:
    user = await relay.user()
    receipts = await user.publish(3)
    async with user.websocket() as live:
        await live.hello()
        async with database_of(database_url) as database:
            assert await renew_epochs(database) == 1
        await user.posted()
        assert await live.close_code() == 1012
    async with user.sse(f"?after={receipts[2]['cursor']}") as stream:
        hello = await stream.hello()
        assert (hello["resumed"], hello["reason"]) == (False, "epoch")
        assert [event["seq"] for event in await stream.events(4)] == [1, 2, 3, 4]
