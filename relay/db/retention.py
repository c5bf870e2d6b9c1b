"""Statements that trim streams, in small batches to hold locks briefly, and expire idle users."""

from datetime import datetime
from uuid import UUID

import msgspec

from relay.db.pool import Database

TRIM_BATCH = 500  # events: a few milliseconds under the user's row lock
USERS_AT_ONCE = 1_000  # a statement looks at no more, so its work is bounded
BEFORE_ALL_USERS = UUID(int=0)


class StreamBounds(msgspec.Struct, frozen=True):
    """What a stream may hold: its most events and bytes, and the oldest time of receipt."""

    max_events: int
    max_bytes: int
    before: datetime


async def select_days_ago(database: Database, days: float) -> datetime:
    """The time so many days ago, by the database's clock: it is the one that events have."""
    at: datetime = await database.fetchval("SELECT now() - $1 * interval '1 day'", days)
    return at


async def select_overfull(
    database: Database, bounds: StreamBounds, after: UUID
) -> tuple[list[UUID], UUID | None]:
    """Look at the next `USERS_AT_ONCE` users after this one, by their ids.

    Returns those with streams that exceed the bounds, and the last one it looked at, which is None
    if there are no more. Begin after `BEFORE_ALL_USERS`.
    """
    return await _page_of_users(
        database,
        """
        WITH page AS MATERIALIZED (
            SELECT user_id, oldest_seq, last_seq, stored_bytes FROM users
            WHERE user_id > $1 ORDER BY user_id LIMIT $2
        )
        SELECT (SELECT user_id FROM page ORDER BY user_id DESC LIMIT 1) AS last, ARRAY(
            SELECT p.user_id FROM page p
            LEFT JOIN events e ON e.user_id = p.user_id AND e.seq = p.oldest_seq
            WHERE p.last_seq >= p.oldest_seq AND (
                p.last_seq - p.oldest_seq + 1 > $3 OR p.stored_bytes > $4 OR e.received_at < $5
            )
        ) AS found
        """,
        after,
        bounds.max_events,
        bounds.max_bytes,
        bounds.before,
    )


async def trim_stream(database: Database, user_id: UUID, bounds: StreamBounds) -> int:
    """Trim at most `TRIM_BATCH` events of one stream; returns how many."""
    trimmed: int = await database.fetchval(
        "SELECT trim_stream($1, $2, $3, $4, $5)",
        user_id,
        bounds.max_events,
        bounds.max_bytes,
        bounds.before,
        TRIM_BATCH,
    )
    return trimmed


async def select_idle_users(
    database: Database, after: UUID, *, idle_days: float
) -> tuple[list[UUID], UUID | None]:
    """Of the next users, as in `select_overfull`, those that may expire.

    They have no live session or token, and are idle for at least `idle_days`.
    """
    return await _page_of_users(
        database,
        """
        WITH page AS MATERIALIZED (
            SELECT user_id, active_at FROM users WHERE user_id > $1 ORDER BY user_id LIMIT $2
        )
        SELECT (SELECT user_id FROM page ORDER BY user_id DESC LIMIT 1) AS last, ARRAY(
            SELECT u.user_id FROM page u
            WHERE u.active_at < now() - $3 * interval '1 day'
                AND NOT EXISTS (SELECT FROM sessions s WHERE s.user_id = u.user_id
                    AND s.revoked_at IS NULL AND s.expires_at > now())
                AND NOT EXISTS (SELECT FROM tokens t WHERE t.user_id = u.user_id
                    AND t.revoked_at IS NULL AND t.expires_at > now())
        ) AS found
        """,
        after,
        idle_days,
    )


async def _page_of_users(
    database: Database, statement: str, after: UUID, *args: object
) -> tuple[list[UUID], UUID | None]:
    row = await database.fetchrow(statement, after, USERS_AT_ONCE, *args)
    assert row is not None  # one row, whatever it finds
    return row["found"], row["last"]


async def expire_user(database: Database, user_id: UUID, *, idle_days: float) -> None:
    """Delete a user, unless it became active meanwhile. `clear_user` deletes what it has stored."""
    await database.execute(
        """
        WITH gone AS (
            DELETE FROM users u
            WHERE u.user_id = $1 AND u.active_at < now() - $2 * interval '1 day'
            RETURNING u.user_id
        )
        INSERT INTO audit_log (user_id, action) SELECT user_id, 'user_expired' FROM gone
        """,
        user_id,
        idle_days,
    )
