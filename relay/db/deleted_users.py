"""Deletes users: first the row that all else of a user needs, then the rest in steps."""

from collections.abc import Iterable
from uuid import UUID

from relay.db.pool import Database

CLEAR_BATCH = 500  # rows: a few milliseconds
CLEARED_USERS = 100  # read at once


async def delete_user(database: Database, user_id: UUID, session_id: UUID) -> list[UUID] | None:
    """Delete a user on behalf of one of its sessions.

    Returns the ids of the tokens and sessions that end with it. Returns None, and changes nothing,
    if the session has ended.
    """
    ended: list[UUID] | None = await database.fetchval(
        "SELECT delete_user($1, $2)", user_id, session_id
    )
    return ended


async def select_users_to_clear(database: Database, left_out: Iterable[UUID]) -> list[UUID]:
    """Deleted users of which something is still stored, the longest deleted first."""
    rows = await database.fetch(
        """
        SELECT user_id FROM deleted_users
        WHERE cleared_at IS NULL AND user_id <> ALL ($1) ORDER BY deleted_at LIMIT $2
        """,
        list(left_out),
        CLEARED_USERS,
    )
    return [row["user_id"] for row in rows]


async def clear_user(database: Database, user_id: UUID) -> bool:
    """Delete up to `CLEAR_BATCH` rows of a deleted user; returns whether there may be more."""
    more: bool = await database.fetchval("SELECT clear_user($1, $2)", user_id, CLEAR_BATCH)
    return more
