"""Who else serves this database, and how many live streams of whom they have."""

from collections.abc import Mapping
from uuid import UUID

from relay.db.pool import Database

ALIVE = 5  # seconds since a process was last seen in which it counts


async def tell_presence(database: Database, process_id: UUID, changed: Mapping[UUID, int]) -> bool:
    """I am here, and these users have so many streams here now (0: none is left).

    False when I was not known: all that was told before is gone, too.
    """
    known: bool = await database.fetchval(
        """
        WITH here AS (
            INSERT INTO processes (process_id, seen_at) VALUES ($1, now())
            ON CONFLICT (process_id) DO UPDATE SET seen_at = now()
        ), changed AS (
            SELECT * FROM unnest($2::uuid[], $3::integer[]) AS c (user_id, streams)
        ), ended AS (
            DELETE FROM watching w USING changed c
            WHERE w.process_id = $1 AND w.user_id = c.user_id AND c.streams = 0
        ), kept AS (
            INSERT INTO watching (process_id, user_id, streams)
            SELECT $1, c.user_id, c.streams FROM changed c WHERE c.streams > 0
            ON CONFLICT (process_id, user_id) DO UPDATE SET streams = excluded.streams
        )
        SELECT EXISTS (SELECT FROM processes WHERE process_id = $1) -- before this statement
        """,
        process_id,
        list(changed),
        list(changed.values()),
    )
    return known


async def select_others(database: Database, process_id: UUID) -> tuple[set[UUID], dict[UUID, int]]:
    """The other processes alive, and the live streams they have, by user."""
    rows = await database.fetch(
        """
        SELECT p.process_id, w.user_id, w.streams
        FROM processes p LEFT JOIN watching w ON w.process_id = p.process_id
        WHERE p.process_id <> $1 AND p.seen_at > now() - $2 * interval '1 second'
        """,
        process_id,
        ALIVE,
    )
    streams: dict[UUID, int] = {}
    for _, user_id, count in rows:
        if user_id is not None:
            streams[user_id] = streams.get(user_id, 0) + count
    return {row[0] for row in rows}, streams


async def leave(database: Database, process_id: UUID) -> None:
    """I am gone, and so are my streams."""
    await database.execute("DELETE FROM processes WHERE process_id = $1", process_id)
