"""Reads and writes the VAPID keys, of which there is one pair for all users and processes."""

from typing import NamedTuple

from relay.db.pool import Database


class StoredVapidKeys(NamedTuple):
    """The public key in base64url; the private one is `sealed` with the signing key `kid`."""

    public_key: str
    kid: str
    sealed: bytes


async def select_vapid_keys(database: Database) -> StoredVapidKeys | None:
    """The keys, if they are made."""
    rows = await database.fetch("SELECT public_key, kid, sealed FROM vapid_keys")
    return StoredVapidKeys(*rows[0]) if rows else None


async def insert_vapid_keys(database: Database, new: StoredVapidKeys) -> None:
    """Store the first keys; those of another process that was quicker stay."""
    await database.execute(
        "INSERT INTO vapid_keys (public_key, kid, sealed) VALUES ($1, $2, $3)"
        " ON CONFLICT DO NOTHING",
        *new,
    )


async def replace_vapid_keys(
    database: Database, old: StoredVapidKeys, new: StoredVapidKeys
) -> None:
    """Store other keys, or the same ones sealed anew, unless that was done meanwhile."""
    await database.execute(
        """
        UPDATE vapid_keys SET public_key = $3, kid = $4, sealed = $5,
            made_at = CASE WHEN public_key = $3 THEN made_at ELSE now() END
        WHERE public_key = $1 AND kid = $2
        """,
        old.public_key,
        old.kid,
        *new,
    )
