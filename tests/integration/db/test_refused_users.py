"""Housekeeping of many users, where the database refuses it for one: all others get theirs."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from relay.background.deletion import clear_deleted_users
from relay.background.retention import expire_idle_users, trim_streams
from relay.config.settings import Settings
from relay.db.pool import Database, StatementFailed
from tests.support.databases import database_of
from tests.support.projections import count_as_folded
from tests.support.relay_server import Relay

SETTINGS = Settings.load({"RELAY_RETENTION_EVENTS": "1"})
# the statement that is refused, the users that wait for the work, and the work
CASES: dict[str, tuple[str, str, Callable[[Database], Awaitable[None]]]] = {
    "trimming": (
        "DELETE ON events",
        "SELECT user_id FROM users WHERE oldest_seq < last_seq",
        lambda database: trim_streams(database, SETTINGS),
    ),
    "expiry": (
        "DELETE ON users",
        "SELECT user_id FROM users WHERE active_at < now() - interval '30 days'",
        lambda database: expire_idle_users(database, SETTINGS),
    ),
    "deletion": (
        "UPDATE ON deleted_users",
        "SELECT user_id FROM deleted_users WHERE cleared_at IS NULL ORDER BY deleted_at",
        clear_deleted_users,
    ),
}


@asynccontextmanager
async def refused(database: Database, statement: str, user_id: UUID) -> AsyncIterator[None]:
    """Within the block, the database refuses a kind of statement on the rows of one user."""
    table = statement.split()[-1]
    await database.execute(
        f"""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'refused'; END $$;
        CREATE TRIGGER refuses BEFORE {statement} FOR EACH ROW
            WHEN (OLD.user_id = '{user_id}') EXECUTE FUNCTION refuse();
        """
    )
    try:
        yield
    finally:
        await database.execute(f"DROP TRIGGER refuses ON {table}; DROP FUNCTION refuse()")


@pytest.mark.parametrize("case", CASES)
async def test_what_is_refused_for_one_user_is_done_for_the_others(
    relay: Relay, database_url: str, case: str
) -> None:
    statement, waiting, work = CASES[case]
    for _ in range(3):
        await (await relay.user()).publish(3)
    async with database_of(database_url) as database:
        await count_as_folded(database)
        await database.execute(
            """
            INSERT INTO users (user_id, epoch, active_at)
                SELECT gen_random_uuid(), 'e', now() - interval '31 days'
                FROM generate_series(1, 3);
            INSERT INTO deleted_users (user_id, deleted_at, next_seq, last_seq)
                SELECT gen_random_uuid(), now() - n * interval '1 day', 1, 0
                FROM generate_series(1, 3) AS n;
            """
        )
        found = [row["user_id"] for row in await database.fetch(waiting)]
        assert len(found) == 3
        first = found[0] if case == "deletion" else min(found)
        async with refused(database, statement, first):
            with pytest.raises(StatementFailed, match="refused"):
                await work(database)
        assert [row["user_id"] for row in await database.fetch(waiting)] == [first]
        await work(database)
        assert await database.fetch(waiting) == []
