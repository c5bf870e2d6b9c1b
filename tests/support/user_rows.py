"""The tables that have rows of users, read from the schema: a new table is found without a list."""

from typing import Any
from uuid import UUID

from relay.db.pool import Database


async def tables_of_users(database: Database) -> dict[str, dict[str, str]]:
    """Each table with a column `user_id`: its columns and their types."""
    rows = await database.fetch(
        """
        SELECT table_name, column_name, data_type FROM information_schema.columns c
        WHERE table_schema = 'public' AND EXISTS (
            SELECT FROM information_schema.columns u
            WHERE u.table_schema = 'public' AND u.table_name = c.table_name
                AND u.column_name = 'user_id'
        )
        ORDER BY table_name, ordinal_position
        """
    )
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in rows:
        found.setdefault(table, {})[column] = kind
    return found


async def rows_of(database: Database, user_id: str) -> dict[str, int]:
    """How many rows of this user each table has, where it has any."""
    counts: dict[str, int] = {}
    for table in await tables_of_users(database):
        found: Any = await database.fetchval(
            f"SELECT count(*) FROM {table} WHERE user_id = $1", UUID(user_id)
        )
        if found:
            counts[table] = int(found)
    return counts


async def leave_something_everywhere(database: Database, user_id: str) -> None:
    """Add rows of kinds that come about with time: trimmed events, an ask that has expired, and a
    channel with a notification that waits and one that is over.
    """
    await database.execute(
        """
        INSERT INTO trimmed_events (user_id, event_id, seq, received_at)
        SELECT $1, 'trimmed-' || n, n, now() FROM generate_series(1, 3) AS n
        """,
        UUID(user_id),
    )
    await database.execute(
        """
        INSERT INTO asks (ask_id, user_id, token_id, request_hash, question, kind, options,
            details, question_hash, expires_at, state, noted)
        VALUES (gen_random_uuid(), $1, gen_random_uuid(), '', 'Deploy?', 'text', '{}',
            '{"build":17}', '', now(), 'expired', 'expired')
        """,
        UUID(user_id),
    )
    for statement in CHANNEL:
        await database.execute(statement, UUID(user_id))


CHANNEL = (
    "INSERT INTO notified_users (user_id) VALUES ($1)",
    """
    INSERT INTO channels (user_id, channel_id, kind, kid, sealed, shown, events, min_duration_s,
        unless_watched, with_message, created_by, paused_until)
    VALUES ($1, $1, 'webhook', 'k', 'secret', '{"url":"https://example.com"}', '{failed}', 0, true,
        true, $1, 'infinity')
    """,
    """
    INSERT INTO notifications (user_id, channel_id, state, due_at)
    VALUES ($1, $1, 'failed', now() + interval '1 day')
    """,
    """
    INSERT INTO deliveries (user_id, channel_id, notification_id, state, made_at, outcome, attempts)
    VALUES ($1, $1, $1, 'failed', now(), 'delivered', 1)
    """,
)
