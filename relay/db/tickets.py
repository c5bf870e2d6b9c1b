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
    """Store a ticket's hash, and delete some expired tickets."""
    await database.execute(
        """
        WITH swept AS (
            DELETE FROM tickets WHERE ticket_hash IN (
                SELECT ticket_hash FROM tickets
                WHERE expires_at < now() ORDER BY expires_at LIMIT 10 FOR UPDATE SKIP LOCKED
            )
        )
        INSERT INTO tickets (ticket_hash, user_id, credential_id, origin, expires_at)
        VALUES ($1, $2, $3, $4, now() + $5 * interval '1 second')
        """,
        ticket_hash,
        user_id,
        credential_id,
        origin,
        seconds,
    )


async def spend_ticket(
    database: Database, ticket_hash: bytes, session_lifetime: int
) -> SpentTicket | None:
    """Spend a ticket, which works once; None if it is spent, expired or unknown.

    `session_lifetime` is how many seconds a session may last at most.
    """
    row = await database.fetchrow(
        """
        WITH spent AS (
            DELETE FROM tickets WHERE ticket_hash = $1 AND expires_at > now()
            RETURNING user_id, credential_id, origin
        )
        SELECT spent.*, t.scopes,
            coalesce(t.expires_at, s.expires_at) AS expires_at,
            coalesce(t.expires_at, s.created_at + $2 * interval '1 second') AS ends_at
        FROM spent
        LEFT JOIN tokens t ON t.token_id = spent.credential_id
            AND t.revoked_at IS NULL AND t.expires_at > now()
        LEFT JOIN sessions s ON s.session_id = spent.credential_id
            AND s.revoked_at IS NULL AND s.expires_at > now()
        """,
        ticket_hash,
        session_lifetime,
    )
    return None if row is None else SpentTicket(**row)
