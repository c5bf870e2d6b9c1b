"""One-time links, which sign a second device in as the same user."""

from datetime import datetime
from uuid import UUID

from relay.db.pool import Database
from relay.errors import UserGone


async def insert_link(
    database: Database,
    *,
    link_hash: bytes,
    session_id: UUID,
    user_id: UUID,
    seconds: int,
    sessions_at_most: int,
) -> bool:
    """Store a link's hash; it replaces the session's previous link.

    Returns False, and stores nothing, if the user has `sessions_at_most` live sessions.
    Raises UserGone.
    """
    live: int | None = await database.fetchval(
        """
        WITH counted AS MATERIALIZED (
            SELECT count_live_sessions($3) AS live
        ), kept AS (
            INSERT INTO links (link_hash, session_id, user_id, expires_at)
            SELECT $1, $2, $3, now() + $4 * interval '1 second' FROM counted WHERE live < $5
            ON CONFLICT (user_id, session_id) DO UPDATE
            SET link_hash = excluded.link_hash, expires_at = excluded.expires_at
            RETURNING user_id, session_id
        ), audited AS (
            INSERT INTO audit_log (user_id, action, subject)
            SELECT user_id, 'link_made', session_id FROM kept
        )
        SELECT live FROM counted
        """,
        link_hash,
        session_id,
        user_id,
        seconds,
        sessions_at_most,
    )
    if live is None:
        raise UserGone()
    return live < sessions_at_most


async def find_link_owner(database: Database, link_hash: bytes) -> UUID | None:
    """The user of a link that does not name one: a process of the version before made it."""
    user_id: UUID | None = await database.fetchval(
        "SELECT user_id FROM links WHERE link_hash = $1", link_hash
    )
    return user_id


async def is_link_valid(database: Database, user_id: UUID, link_hash: bytes) -> bool:
    """Whether a link of this user can be spent: not spent, expired, replaced or unknown."""
    valid: bool = await database.fetchval(
        """
        SELECT EXISTS (
            SELECT FROM links l
            JOIN sessions s ON s.user_id = $1 AND s.session_id = l.session_id
                AND s.revoked_at IS NULL AND s.expires_at > now()
            WHERE l.user_id = $1 AND l.link_hash = $2 AND l.expires_at > now()
        )
        """,
        user_id,
        link_hash,
    )
    return valid


async def spend_link(
    database: Database,
    link_hash: bytes,
    user_id: UUID,
    session_id: UUID,
    session_days: float,
    at_most: int,
) -> datetime | None:
    """Spend a link, which works once, and open a session; returns when that expires unless used.

    Returns None, and opens nothing, if the link is not valid, its session has ended, or the user
    has `at_most` live sessions. It looks at all three after it has locked the user.
    """
    expires_at: datetime | None = await database.fetchval(
        "SELECT spend_link($1, $2, $3, $4 * interval '1 day', $5)",
        link_hash,
        user_id,
        session_id,
        session_days,
        at_most,
    )
    return expires_at
