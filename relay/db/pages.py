"""Reading streams: where they stand, and stretches of them. One statement each, one moment each."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from relay.db.pool import Database
from relay.errors import InvalidToken
from relay.events import Cursor, Head


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a stream, and where the whole stream stood in the same moment.

    `texts` are the events from seq `first` on, without holes, as their readers see them.
    """

    head: Head
    first: int
    texts: list[bytes]

    @property
    def cursor(self) -> str:
        """The position behind the last of them."""
        return str(Cursor(self.head.epoch, self.first + len(self.texts) - 1))


class Stored(NamedTuple):
    """One event that was read back; `text` is what its readers see."""

    epoch: str
    seq: int
    text: bytes
    received_at: datetime


async def select_heads(database: Database, user_ids: list[UUID]) -> dict[UUID, Head]:
    """Where each of these users' streams stands, for those that have one."""
    rows = await database.fetch(
        "SELECT user_id, epoch, oldest_seq, last_seq FROM users WHERE user_id = ANY ($1)",
        user_ids,
    )
    return {user_id: Head(*head) for user_id, *head in rows}


async def select_page(
    database: Database, user_id: UUID, after: int, most_events: int, most_bytes: int
) -> Page:
    """Raises InvalidToken when the user is gone."""
    row = await database.fetchrow(_PAGE, user_id, after, most_events, most_bytes)
    if row is None:
        raise InvalidToken("The user is gone.", reason="revoked")
    epoch, oldest, last, first, texts = row
    return Page(Head(epoch, oldest, last), first or 0, texts or [])


async def select_events(
    database: Database, after: Mapping[UUID, int], most_events: int, most_bytes: int
) -> dict[UUID, list[Stored]]:
    """What comes next in each of these users' streams; the bounds are for all of them together."""
    rows = await database.fetch(_NEXT, list(after), list(after.values()), most_events, most_bytes)
    found: dict[UUID, list[Stored]] = {}
    for user_id, *stored in rows:
        found.setdefault(user_id, []).append(Stored(*stored))
    return found


# The text of `event_json` (relay/realtime/frames.py) for the event e of a stream with this epoch.
# Written here, it costs Relay's one thread nothing: who reads a thousand events gets bytes to send.
_TEXT = """
    convert_to(
        '{"id":' || to_json(e.event_id) || ',"seq":' || e.seq
        || ',"cursor":"' || u.epoch || '.' || e.seq
        || '","event_type":"' || e.event_type || '"'
        || coalesce(',"task_id":' || to_json(e.task_id), '')
        || ',"ts":"' || e.ts || '","received_at":"'
        || to_char(e.received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
        || '","payload":' || e.payload || '}',
        'UTF8'
    )
"""

# One statement, so that the stream's head and its events are of one moment. The page is cut by
# the bytes before a row, so that even a row larger than the bound is read, alone.
_PAGE = f"""
    SELECT u.epoch, u.oldest_seq, u.last_seq, page.first, page.texts
    FROM users u
    CROSS JOIN LATERAL (
        SELECT min(e.seq) AS first, array_agg({_TEXT} ORDER BY e.seq) AS texts
        FROM (
            SELECT s.*, sum(event_bytes(s.payload)) OVER (ORDER BY s.seq)
                - event_bytes(s.payload) AS bytes_before
            FROM (
                SELECT * FROM events WHERE user_id = $1 AND seq > $2 ORDER BY seq LIMIT $3
            ) s
        ) e
        WHERE e.bytes_before < $4
    ) page
    WHERE u.user_id = $1
"""

# Everybody's next event comes before anybody's second, so that no long stream takes all the room.
_NEXT = f"""
    SELECT many.user_id, many.epoch, many.seq, many.text, many.received_at
    FROM (
        SELECT u.user_id, u.epoch, e.seq, {_TEXT} AS text, e.received_at,
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
