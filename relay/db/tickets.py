"""Tickets: single-use credentials for URLs that a browser opens without headers."""

from datetime import datetime
from uuid import UUID

import msgspec

from relay.db.pool import Database


class SpentTicket(msgspec.Struct, frozen=True):
    """A spent ticket, with the state of the credential that requested it.

    `expires_at` is None if that credential has ended. `ends_at` is its last possible expiry,
    which no use extends. `scopes` is None for a session.
    """

    user_id: UUID
    credential_id: UUID
    origin: str | None
    expires_at: datetime | None
    ends_at: datetime | None
    scopes: list[str] | None


async def insert_ticket(
    database: Database,
    *,
    ticket_hash: bytes,
    user_id: UUID,
    credential_id: UUID,
    origin: str | None,
    seconds: int,
) -> None:
    """Store a ticket's hash."""
    await database.execute(
        """
        INSERT INTO tickets (ticket_hash, user_id, credential_id, origin, expires_at)
        VALUES ($1, $2, $3, $4, now() + $5 * interval '1 second')
        """,
        ticket_hash,
        user_id,
        credential_id,
        origin,
        seconds,
    )


async def find_ticket_owner(database: Database, ticket_hash: bytes) -> UUID | None:
    """The user of a ticket that does not name one: a process of the version before made it."""
    user_id: UUID | None = await database.fetchval(
        "SELECT user_id FROM tickets WHERE ticket_hash = $1", ticket_hash
    )
    return user_id


async def spend_ticket(
    database: Database, user_id: UUID, ticket_hash: bytes, session_lifetime: int
) -> SpentTicket | None:
    """Spend a ticket, which works once; None if it is spent, expired or unknown.

    `session_lifetime` is how many seconds a session may last at most.
    """
    row = await database.fetchrow(
        """
        WITH spent AS (
            DELETE FROM tickets
            WHERE user_id = $3 AND ticket_hash = $1 AND expires_at > now()
            RETURNING user_id, credential_id, origin
        )
        SELECT spent.*, t.scopes,
            coalesce(t.expires_at, s.expires_at) AS expires_at,
            coalesce(t.expires_at, s.created_at + $2 * interval '1 second') AS ends_at
        FROM spent
        LEFT JOIN tokens t ON t.user_id = $3 AND t.token_id = spent.credential_id
            AND t.revoked_at IS NULL AND t.expires_at > now()
        LEFT JOIN sessions s ON s.user_id = $3 AND s.session_id = spent.credential_id
            AND s.revoked_at IS NULL AND s.expires_at > now()
        """,
        ticket_hash,
        session_lifetime,
        user_id,
    )
    return None if row is None else SpentTicket(**row)
