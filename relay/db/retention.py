"""Statements that trim streams and delete expired rows, in small batches to hold locks briefly."""

from datetime import datetime
from uuid import UUID

import msgspec

from relay.db.pool import Database

TRIM_BATCH = 500  # events: a few milliseconds under the user's row lock
SWEEP_BATCH = 1_000  # rows
IDLE_USERS = 100  # read at once
_FULL_SWEEP = f"DELETE {SWEEP_BATCH}"


class StreamBounds(msgspec.Struct, frozen=True):
    """What a stream may hold: its most events and bytes, and the oldest time of receipt."""

    max_events: int
    max_bytes: int
    before: datetime


async def select_days_ago(database: Database, days: float) -> datetime:
    """The time so many days ago, by the database's clock: it is the one that events have."""
    at: datetime = await database.fetchval("SELECT now() - $1 * interval '1 day'", days)
    return at


async def select_overfull(database: Database, bounds: StreamBounds) -> list[UUID]:
    """Users with streams that exceed the bounds."""
    rows = await database.fetch(
        """
        SELECT u.user_id FROM users u
        LEFT JOIN events e ON e.user_id = u.user_id AND e.seq = u.oldest_seq
        WHERE u.last_seq >= u.oldest_seq AND (
            u.last_seq - u.oldest_seq + 1 > $1 OR u.stored_bytes > $2 OR e.received_at < $3
        )
        LIMIT 10000
        """,
        bounds.max_events,
        bounds.max_bytes,
        bounds.before,
    )
    return [row["user_id"] for row in rows]


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


async def sweep(database: Database, *, audit_days: float) -> bool:
    """Delete up to `SWEEP_BATCH` expired rows of each kind; returns whether there may be more.

    They are idempotency keys, credentials, asks, deliveries, hosts that were called, links,
    tickets, processes and audit rows. The ended credentials of a deleted user stay for a day, so
    that every process learns that they ended. It skips rows that another statement has locked; the
    next sweep finds them again.
    """
    full = False
    for statement in (
        """
        DELETE FROM processes WHERE process_id IN (
            SELECT process_id FROM processes
            WHERE seen_at < now() - interval '1 minute' LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        """,
        """
        DELETE FROM trimmed_events WHERE (user_id, event_id) IN (
            SELECT user_id, event_id FROM trimmed_events
            WHERE received_at < now() - interval '1 day' LIMIT $1
            FOR UPDATE SKIP LOCKED
        )
        """,
        """
        DELETE FROM tokens WHERE (user_id, token_id) IN (
            SELECT user_id, token_id FROM tokens
            WHERE least(expires_at, revoked_at) < now() - interval '30 days'
                OR user_id IN (
                    SELECT user_id FROM deleted_users
                    WHERE cleared_at < now() - interval '1 day'
                )
            LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        """,
        """
        DELETE FROM asks WHERE (user_id, ask_id) IN (
            SELECT user_id, ask_id FROM asks
            WHERE state <> 'open' AND ended_at < now() - interval '30 days' LIMIT $1
            FOR UPDATE SKIP LOCKED
        )
        """,
        """
        DELETE FROM deliveries WHERE (user_id, delivery_id) IN (
            SELECT user_id, delivery_id FROM deliveries
            WHERE ended_at < now() - interval '7 days' LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        """,
        """
        DELETE FROM sessions WHERE (user_id, session_id) IN (
            SELECT user_id, session_id FROM sessions
            WHERE least(expires_at, revoked_at) < now() - interval '30 days'
                OR user_id IN (
                    SELECT user_id FROM deleted_users
                    WHERE cleared_at < now() - interval '1 day'
                )
            LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        """,
        """
        DELETE FROM links WHERE (user_id, session_id) IN (
            SELECT user_id, session_id FROM links
            WHERE expires_at < now() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        """,
        """
        DELETE FROM tickets WHERE (user_id, ticket_hash) IN (
            SELECT user_id, ticket_hash FROM tickets
            WHERE expires_at < now() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        """,
        """
        DELETE FROM receivers WHERE host IN (
            SELECT host FROM receivers
            WHERE paced_until < now() - interval '1 hour' LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        """,
        """
        DELETE FROM deleted_users WHERE user_id IN (
            SELECT user_id FROM deleted_users d
            WHERE cleared_at < now() - interval '1 day'
                AND NOT EXISTS (SELECT FROM tokens t WHERE t.user_id = d.user_id)
                AND NOT EXISTS (SELECT FROM sessions s WHERE s.user_id = d.user_id)
            LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        """,
    ):
        full |= await database.execute(statement, SWEEP_BATCH) == _FULL_SWEEP
    swept = await database.execute(
        """
        DELETE FROM audit_log WHERE (user_id, audit_id) IN (
            SELECT user_id, audit_id FROM audit_log
            WHERE at < now() - $2 * interval '1 day' ORDER BY at LIMIT $1
            FOR UPDATE SKIP LOCKED
        )
        """,
        SWEEP_BATCH,
        audit_days,
    )
    return full or swept == _FULL_SWEEP


async def select_idle_users(database: Database, *, idle_days: float) -> list[UUID]:
    """Some users without a live session or token, idle for at least `idle_days`."""
    rows = await database.fetch(
        """
        SELECT u.user_id FROM users u
        WHERE u.active_at < now() - $1 * interval '1 day'
            AND NOT EXISTS (SELECT FROM sessions s WHERE s.user_id = u.user_id
                AND s.revoked_at IS NULL AND s.expires_at > now())
            AND NOT EXISTS (SELECT FROM tokens t WHERE t.user_id = u.user_id
                AND t.revoked_at IS NULL AND t.expires_at > now())
        LIMIT $2
        """,
        idle_days,
        IDLE_USERS,
    )
    return [row["user_id"] for row in rows]


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
