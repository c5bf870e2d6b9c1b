"""Statements for the housekeeping lease, which is one row: its holder and its expiry."""

from uuid import UUID

from relay.db.pool import Database


async def take_lease(database: Database, holder: UUID, *, seconds: float, by_force: bool) -> bool:
    """Take or renew the lease for so many seconds; returns whether it is the holder's now.

    It is free after its end, by the database's clock. An end further ahead than any lease lasts
    means that this clock was set back, and counts as past. With `by_force` it is taken from
    another holder. A process that does not get it writes nothing.
    """
    rows = await database.fetch(
        """
        INSERT INTO housekeeping AS held (holder, expires_at)
        SELECT $1::uuid, clock_timestamp() + $2::float8 * interval '1 second'
        WHERE $3::boolean OR NOT EXISTS (
            SELECT FROM housekeeping other WHERE other.holder <> $1::uuid
                AND other.expires_at > clock_timestamp()
                AND other.expires_at < clock_timestamp() + 2 * $2::float8 * interval '1 second'
        )
        ON CONFLICT (only_row) DO UPDATE
        SET holder = excluded.holder, expires_at = excluded.expires_at
        WHERE $3::boolean OR held.holder = excluded.holder
            OR held.expires_at <= clock_timestamp()
            OR held.expires_at >= clock_timestamp() + 2 * $2::float8 * interval '1 second'
        RETURNING holder
        """,
        holder,
        seconds,
        by_force,
    )
    return bool(rows)


async def release_lease(database: Database, holder: UUID) -> None:
    """Give the lease back, if it is this holder's."""
    await database.execute("DELETE FROM housekeeping WHERE holder = $1", holder)
