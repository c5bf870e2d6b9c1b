"""Reading streams: where they stand, and stretches of them. One statement each, one moment each."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from relay.db.pool import Database, Row
from relay.errors import InvalidToken
from relay.events import Event, Head


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a stream, and where the whole stream stood in the same moment."""

    head: Head
    events: list[Event]


async def select_head(database: Database, user_id: UUID) -> Head:
    """Raises InvalidToken when the user is gone."""
    row = await database.fetchrow(
        "SELECT epoch, oldest_seq, last_seq FROM users WHERE user_id = $1", user_id
    )
    if row is None:
        raise InvalidToken("The user is gone.", reason="revoked")
    return Head(*row)


async def select_heads(database: Database, user_ids: list[UUID]) -> dict[UUID, int]:
    """The last seq of each of these users' streams, for those that have one."""
    rows = await database.fetch(
        "SELECT user_id, last_seq FROM users WHERE user_id = ANY ($1)", user_ids
    )
    return {row["user_id"]: row["last_seq"] for row in rows}


async def select_page(
    database: Database, user_id: UUID, after: int, most_events: int, most_bytes: int
) -> Page:
    """Raises InvalidToken when the user is gone."""
    rows = await database.fetch(_PAGE, user_id, after, most_events, most_bytes)
    if not rows:
        raise InvalidToken("The user is gone.", reason="revoked")
    head = Head(rows[0]["epoch"], rows[0]["oldest_seq"], rows[0]["last_seq"])
    return Page(head, [_stored(row) for row in rows if row["seq"] is not None])


async def select_events(
    database: Database, after: Mapping[UUID, int], most_events: int, most_bytes: int
) -> dict[UUID, list[Event]]:
    """What comes next in each of these users' streams; the bounds are for all of them together."""
    rows = await database.fetch(_NEXT, list(after), list(after.values()), most_events, most_bytes)
    found: dict[UUID, list[Event]] = {}
    for row in rows:
        found.setdefault(row["user_id"], []).append(_stored(row))
    return found


# One statement, so that the stream's head and its events are of one moment. The page is cut by
# the bytes before a row, so that even a row larger than the bound is read, alone.
_PAGE = """
    SELECT u.epoch, u.oldest_seq, u.last_seq,
        e.seq, e.event_id, e.event_type, e.task_id, e.ts, e.payload, e.received_at
    FROM users u
    LEFT JOIN LATERAL (
        SELECT page.* FROM (
            SELECT s.*, sum(event_bytes(s.payload)) OVER (ORDER BY s.seq)
                - event_bytes(s.payload) AS bytes_before
            FROM (
                SELECT * FROM events WHERE user_id = $1 AND seq > $2 ORDER BY seq LIMIT $3
            ) s
        ) page
        WHERE page.bytes_before < $4
    ) e ON true
    WHERE u.user_id = $1
    ORDER BY e.seq
"""

# Everybody's next event comes before anybody's second, so that no long stream takes all the room.
_NEXT = """
    SELECT many.*
    FROM (
        SELECT u.epoch, u.user_id,
            e.seq, e.event_id, e.event_type, e.task_id, e.ts, e.payload, e.received_at,
            row_number() OVER in_turn AS turn,
            sum(event_bytes(e.payload)) OVER in_turn - event_bytes(e.payload) AS bytes_before
        FROM unnest($1::uuid[], $2::bigint[]) AS asked (user_id, after)
        JOIN users u ON u.user_id = asked.user_id
        JOIN LATERAL (
            SELECT * FROM events
            WHERE events.user_id = asked.user_id AND events.seq > asked.after
            ORDER BY events.seq LIMIT $3
        ) e ON true
        WINDOW in_turn AS (ORDER BY e.seq - asked.after, u.user_id)
    ) many
    WHERE many.turn <= $3 AND many.bytes_before < $4
    ORDER BY many.user_id, many.seq
"""


def _stored(row: Row) -> Event:
    return Event(
        epoch=row["epoch"],
        seq=row["seq"],
        id=row["event_id"],
        event_type=row["event_type"],
        task_id=row["task_id"],
        ts=row["ts"],
        payload=row["payload"],
        received_at=row["received_at"],
    )
