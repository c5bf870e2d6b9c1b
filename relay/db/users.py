"""Users and their sessions."""

from datetime import datetime
from uuid import UUID

import msgspec

from relay.db.pool import Database
from relay.db.user_credentials import UserCredential, columns


class UserOverview(msgspec.Struct, frozen=True):
    user_id: UUID
    created_at: datetime
    epoch: str
    last_seq: int


class LiveSession(msgspec.Struct, frozen=True):
    """What the database stores of a session beside its token's claims, as in `LiveToken`."""

    key: UserCredential
    expires_at: datetime


async def insert_user(
    database: Database, user_id: UUID, epoch: str, session_id: UUID, session_days: float
) -> datetime:
    """Create a user with a first session; returns when that session expires."""
    expires_at: datetime = await database.fetchval(
        """
        WITH made AS (
            INSERT INTO users (user_id, epoch) VALUES ($1, $2)
        ), audited AS (
            INSERT INTO audit_log (user_id, action, subject) VALUES ($1, 'user_created', $3)
        )
        INSERT INTO sessions (session_id, user_id, expires_at)
        VALUES ($3, $1, now() + $4 * interval '1 day')
        RETURNING expires_at
        """,
        user_id,
        epoch,
        session_id,
        session_days,
    )
    return expires_at


async def select_user(database: Database, user_id: UUID) -> UserOverview | None:
    row = await database.fetchrow(
        "SELECT user_id, created_at, epoch, last_seq FROM users WHERE user_id = $1", user_id
    )
    return None if row is None else UserOverview(**row)


async def select_live_sessions(
    database: Database, sessions: list[UserCredential]
) -> dict[UserCredential, LiveSession]:
    """Those of the sessions that have neither expired nor ended."""
    rows = await database.fetch(
        """
        SELECT user_id, session_id, expires_at FROM sessions
        WHERE (user_id, session_id) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[]))
            AND revoked_at IS NULL AND expires_at > now()
        """,
        *columns(sessions),
    )
    found = [LiveSession(UserCredential(user_id, of), *live) for user_id, of, *live in rows]
    return {live.key: live for live in found}


async def touch_sessions(
    database: Database, sessions: list[UserCredential], session_days: float
) -> None:
    """Record the use of sessions, at most every 15 seconds: they expire `session_days` from now.

    It never waits for a row that another statement has locked: that one uses or ends the session
    itself, or has the user active. So it cannot deadlock, and one user's lock delays no other.
    """
    await database.execute(
        """
        WITH used AS MATERIALIZED (
            SELECT user_id, session_id FROM sessions
            WHERE (user_id, session_id) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[]))
                AND revoked_at IS NULL AND expires_at > now()
                AND last_used_at < now() - interval '15 seconds'
            FOR NO KEY UPDATE SKIP LOCKED
        ), extended AS (
            UPDATE sessions SET last_used_at = now(), expires_at = now() + $3 * interval '1 day'
            FROM used
            WHERE sessions.user_id = used.user_id AND sessions.session_id = used.session_id
        ), active AS MATERIALIZED (
            SELECT user_id FROM users WHERE user_id IN (SELECT user_id FROM used)
            FOR NO KEY UPDATE SKIP LOCKED
        )
        UPDATE users SET active_at = now() FROM active WHERE users.user_id = active.user_id
        """,
        *columns(sessions),
        session_days,
    )


async def end_session(database: Database, session_id: UUID, user_id: UUID) -> None:
    """End a session, with the channel of its device."""
    await database.execute("SELECT end_session($1, $2)", session_id, user_id)


async def end_other_sessions(
    database: Database, session_id: UUID, user_id: UUID
) -> list[UUID] | None:
    """End every session of the user except this one; returns the ids of those that ended.

    The channels of all other devices end with them, also of those whose session had expired.

    Returns None, and ends nothing, if this session itself has ended. It locks the user first, so a
    link that is spent at the same time opens a session before, which ends too, or none.
    """
    ended: list[UUID] | None = await database.fetchval(
        "SELECT end_other_sessions($1, $2)", session_id, user_id
    )
    return ended
