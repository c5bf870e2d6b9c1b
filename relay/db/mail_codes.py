"""Counts mailed codes, of all users and processes together."""

from datetime import timedelta

from relay.db.pool import Database


async def take_mail_code(database: Database, interval: timedelta, burst: int) -> float:
    """Count a code that is to be mailed; returns 0, or the seconds after which one may be.

    Calls at the same moment are counted one after the other.
    """
    wait: float = await database.fetchval("SELECT take_mail_code($1, $2)", interval, burst)
    return wait


async def uncount_mail_code(database: Database, interval: timedelta) -> None:
    """Count a code no longer: it was not mailed."""
    await database.execute(
        "UPDATE mailed_codes SET paced_until = paced_until - $1::interval", interval
    )
