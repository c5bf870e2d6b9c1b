"""The tables of serving processes and of their users' live streams."""

from collections.abc import Mapping
from uuid import UUID

from relay.db.pool import Database

ALIVE_SECONDS = 5  # a process counts as alive for this long after its last write


async def write_presence(database: Database, process_id: UUID, changed: Mapping[UUID, int]) -> bool:
    """Record that this process is alive, and its changed numbers of streams by user (0: none).

    Returns False if the process had no row: then the numbers written before are lost, too.
    `changed` comes from `here`, so that the process is locked before its numbers are, as where
    the process is deleted with them.
    """
    known: bool = await database.fetchval(
        """
        WITH here AS (
            INSERT INTO processes (process_id, seen_at) VALUES ($1, now())
            ON CONFLICT (process_id) DO UPDATE SET seen_at = now()
            RETURNING process_id
        ), changed AS MATERIALIZED (
            SELECT here.process_id, c.user_id, c.streams
            FROM here, unnest($2::uuid[], $3::integer[]) AS c (user_id, streams)
        ), ended AS (
            DELETE FROM watching w USING changed c
            WHERE w.process_id = c.process_id AND w.user_id = c.user_id AND c.streams = 0
        ), kept AS (
            INSERT INTO watching (process_id, user_id, streams)
            SELECT c.process_id, c.user_id, c.streams FROM changed c WHERE c.streams > 0
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
    """The other processes that are alive, and the number of their live streams by user."""
    rows = await database.fetch(
        """
        SELECT p.process_id, w.user_id, w.streams
        FROM processes p LEFT JOIN watching w ON w.process_id = p.process_id
        WHERE p.process_id <> $1 AND p.seen_at > now() - $2 * interval '1 second'
        """,
        process_id,
        ALIVE_SECONDS,
    )
    streams: dict[UUID, int] = {}
    for _, user_id, count in rows:
        if user_id is not None:
            streams[user_id] = streams.get(user_id, 0) + count
    return {row[0] for row in rows}, streams


async def delete_presence(database: Database, process_id: UUID) -> None:
    """Delete this process and its numbers of streams."""
    await database.execute("DELETE FROM processes WHERE process_id = $1", process_id)
