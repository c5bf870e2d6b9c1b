"""Statements that lock several users lock them in one order, so that appends never deadlock."""

from uuid import UUID

import trio

from relay.auth.credentials import SESSION_DAYS
from relay.db.pool import connect
from relay.db.users import touch_sessions
from tests.support.databases import database_of
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.relay_server import Relay

LOCK = "SELECT FROM users WHERE user_id = '%s' FOR NO KEY UPDATE"
WAITING = """
    SELECT EXISTS (SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock')
"""


async def test_the_use_of_sessions_waits_for_the_first_user_before_it_locks_the_next(
    relay: Relay, database_url: str
) -> None:
    low, high = sorted([UUID((await relay.user()).user_id) for _ in range(2)])
    async with (
        database_of(database_url) as database,
        connect(database_url, timeout=PATIENCE) as append,
        trio.open_nursery() as nursery,
    ):
        await database.execute("DELETE FROM sessions")
        for user_id in (high, low):  # as stored, and so as found, against the order of the ids
            await database.execute(
                """
                INSERT INTO sessions (session_id, user_id, expires_at, last_used_at)
                VALUES (gen_random_uuid(), $1, now() + '1 day', now() - interval '1 hour')
                """,
                user_id,
            )
        rows = await database.fetch("SELECT session_id FROM sessions")
        await append.execute("BEGIN")
        try:
            await append.execute(LOCK % low)
            nursery.start_soon(touch_sessions, database, [row[0] for row in rows], SESSION_DAYS)
            with trio.fail_after(PATIENCE):
                while not (await append.fetch(WAITING))[0][0]:  # noqa: ASYNC110
                    await trio.sleep(LOOK_EVERY)
            await append.execute(f"{LOCK % high} NOWAIT")
        finally:
            await append.execute("ROLLBACK")
