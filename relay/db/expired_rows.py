"""Statements that delete expired rows, kind by kind, in small batches to hold locks briefly.

They skip rows that another statement has locked; the next pass finds them again.
"""

from relay.db.pool import Database

SWEEP_BATCH = 1_000  # rows
BLOCKS_AT_ONCE = 250  # of 8 KiB: some 20 000 credentials, which take a statement some 10 ms

# By what each deletes, at most $1 rows. An index leads to them: what has not expired costs nothing.
# The ended credentials of a deleted user stay for a day, so that every process learns of the end.
SWEEPS = {
    "processes": """
        DELETE FROM processes WHERE process_id IN (
            SELECT process_id FROM processes
            WHERE seen_at < now() - interval '1 minute' LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        """,
    "trimmed_events": """
        DELETE FROM trimmed_events WHERE (user_id, event_id) IN (
            SELECT user_id, event_id FROM trimmed_events
            WHERE received_at < now() - interval '1 day' LIMIT $1
            FOR UPDATE SKIP LOCKED
        )
        """,
    "asks": """
        DELETE FROM asks WHERE (user_id, ask_id) IN (
            SELECT user_id, ask_id FROM asks
            WHERE state <> 'open' AND ended_at < now() - interval '30 days' LIMIT $1
            FOR UPDATE SKIP LOCKED
        )
        """,
    "deliveries": """
        DELETE FROM deliveries WHERE (user_id, delivery_id) IN (
            SELECT user_id, delivery_id FROM deliveries
            WHERE ended_at < now() - interval '7 days' LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        """,
    "links": """
        DELETE FROM links WHERE (user_id, session_id) IN (
            SELECT user_id, session_id FROM links
            WHERE expires_at < now() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        """,
    "tickets": """
        DELETE FROM tickets WHERE (user_id, ticket_hash) IN (
            SELECT user_id, ticket_hash FROM tickets
            WHERE expires_at < now() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        """,
    "receivers": """
        DELETE FROM receivers WHERE host IN (
            SELECT host FROM receivers
            WHERE paced_until < now() - interval '1 hour' LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        """,
    "tokens_of_deleted_users": """
        DELETE FROM tokens WHERE (user_id, token_id) IN (
            SELECT t.user_id, t.token_id FROM deleted_users d JOIN tokens t USING (user_id)
            WHERE d.cleared_at < now() - interval '1 day' LIMIT $1
            FOR UPDATE OF t SKIP LOCKED
        )
        """,
    "sessions_of_deleted_users": """
        DELETE FROM sessions WHERE (user_id, session_id) IN (
            SELECT s.user_id, s.session_id FROM deleted_users d JOIN sessions s USING (user_id)
            WHERE d.cleared_at < now() - interval '1 day' LIMIT $1
            FOR UPDATE OF s SKIP LOCKED
        )
        """,
    "deleted_users": """
        DELETE FROM deleted_users WHERE user_id IN (
            SELECT user_id FROM deleted_users d
            WHERE cleared_at < now() - interval '1 day'
                AND NOT EXISTS (SELECT FROM tokens t WHERE t.user_id = d.user_id)
                AND NOT EXISTS (SELECT FROM sessions s WHERE s.user_id = d.user_id)
            LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        """,
}

# Of the blocks from $1 up to $2; whether there are more. No index has their expiry, because each
# use would have to write it, so a pass reads the tables, a bounded part in each statement.
ENDED_CREDENTIALS = {
    "tokens": """
        WITH deleted AS (
            DELETE FROM tokens WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM tokens
                WHERE ctid >= format('(%s,0)', $1::bigint)::tid
                    AND ctid < format('(%s,0)', $2::bigint)::tid
                    AND least(expires_at, revoked_at) < now() - interval '30 days'
                FOR UPDATE SKIP LOCKED
            ))
        )
        SELECT pg_relation_size('tokens') > $2 * current_setting('block_size')::bigint
        """,
    "sessions": """
        WITH deleted AS (
            DELETE FROM sessions WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM sessions
                WHERE ctid >= format('(%s,0)', $1::bigint)::tid
                    AND ctid < format('(%s,0)', $2::bigint)::tid
                    AND least(expires_at, revoked_at) < now() - interval '30 days'
                FOR UPDATE SKIP LOCKED
            ))
        )
        SELECT pg_relation_size('sessions') > $2 * current_setting('block_size')::bigint
        """,
}


async def delete_expired(database: Database, kind: str) -> bool:
    """Delete at most `SWEEP_BATCH` rows of a kind of `SWEEPS`; whether there may be more."""
    deleted = await database.execute(SWEEPS[kind], SWEEP_BATCH)
    return deleted == f"DELETE {SWEEP_BATCH}"


async def delete_audit_rows(database: Database, *, days: float) -> bool:
    """Delete at most `SWEEP_BATCH` audit rows older than that; whether there may be more."""
    deleted = await database.execute(
        """
        DELETE FROM audit_log WHERE (user_id, audit_id) IN (
            SELECT user_id, audit_id FROM audit_log
            WHERE at < now() - $2 * interval '1 day' ORDER BY at LIMIT $1
            FOR UPDATE SKIP LOCKED
        )
        """,
        SWEEP_BATCH,
        days,
    )
    return deleted == f"DELETE {SWEEP_BATCH}"


async def delete_ended_credentials(database: Database, table: str, first: int) -> bool:
    """Delete what has ended on `BLOCKS_AT_ONCE` blocks of a table of `ENDED_CREDENTIALS`.

    `first` is the first of these blocks, from 0. Returns whether there are blocks after them.
    """
    more: bool = await database.fetchval(ENDED_CREDENTIALS[table], first, first + BLOCKS_AT_ONCE)
    return more
