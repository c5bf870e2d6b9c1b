"""Reads stream heads and pages of events, each in one statement and so from one snapshot."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from relay.db.pool import Database, Row
from relay.errors import UserGone
from relay.events import Cursor, StreamHead

MAX_FAIR_SHARES = 4  # times its fair share that one of many users may get of one read


class EventPage(msgspec.Struct, frozen=True):
    """Successive events of a stream, and the stream's head in the same snapshot.

    `texts` are the JSON of the events with the seqs `first`, `first + 1`, ….
    """

    head: StreamHead
    first: int
    texts: list[bytes]

    @property
    def cursor(self) -> str:
        """The cursor after the last of the events."""
        return str(Cursor(self.head.epoch, self.first + len(self.texts) - 1))


class StoredEvent(NamedTuple):
    """One event read from the database; `text` is its JSON for readers."""

    epoch: str
    seq: int
    text: bytes
    received_at: datetime


async def select_heads(database: Database, user_ids: list[UUID]) -> dict[UUID, StreamHead]:
    """The heads of these users' streams; users that do not exist are left out."""
    rows = await database.fetch(
        "SELECT user_id, epoch, oldest_seq, last_seq FROM users WHERE user_id = ANY ($1)",
        user_ids,
    )
    return {user_id: StreamHead(*head) for user_id, *head in rows}


async def select_page(
    database: Database, user_id: UUID, after: int, max_events: int, max_bytes: int
) -> EventPage:
    """Read the next events of one stream. Raises UserGone."""
    row = await database.fetchrow(_PAGE, user_id, after, max_events, max_bytes)
    if row is None:
        raise UserGone()
    epoch, oldest, last, first, lines = row
    return EventPage(
        StreamHead(epoch, oldest, last), first or 0, lines.split(b"\n") if lines else []
    )


async def select_events(
    database: Database, after: Mapping[UUID, int], max_events: int, max_bytes: int
) -> dict[UUID, list[StoredEvent]]:
    """Read the next events of each of these streams; the bounds are for all of them together."""
    each = min(max_events, MAX_FAIR_SHARES * max_events // max(1, len(after)) + 1)
    rows = await database.fetch(
        _NEXT, list(after), list(after.values()), max_events, max_bytes, each
    )
    found: dict[UUID, list[StoredEvent]] = {}
    for user_id, *stored in rows:
        found.setdefault(user_id, []).append(StoredEvent(*stored))
    return found


class TaskEvents(NamedTuple):
    """The events of one task among those of a stream up to `scanned_to`."""

    head: StreamHead
    scanned_to: int
    rows: list[Row]


async def select_task_events(
    database: Database,
    user_id: UUID,
    task_id: str,
    after: int,
    *,
    untitled: bool,
    max_scanned: int,
    max_bytes: int,
) -> TaskEvents:
    """Read the events of one task among the next `max_scanned` of a stream.

    Each row has `seq`, `event_type`, `task_id`, `payload` and `text`, the JSON for readers. With
    `untitled` also events without a task's id, except logs: the caller finds out their task.
    Raises UserGone.
    """
    rows = await database.fetch(_OF_TASK, user_id, after, max_scanned, task_id, untitled, max_bytes)
    if not rows:
        raise UserGone()
    head = StreamHead(rows[0]["epoch"], rows[0]["oldest_seq"], rows[0]["last_seq"])
    found = [row for row in rows if row["seq"] is not None]
    scanned_to = min(head.last, max(after, head.oldest - 1) + max_scanned)
    if rows[0]["cut"]:
        scanned_to = found[-1]["seq"]
    return TaskEvents(head, max(after, scanned_to), found)


# The JSON that `event_json` (relay/realtime/encoding.py) writes, for the event e of a stream u.
# Built by Postgres, it costs Relay's thread nothing: the bytes are sent as they are.
# The parts are grouped because every `||` copies everything to its left.
_TEXT = r"""
    ('{"id":"' || replace(replace(e.event_id, '\', '\\'), '"', '\"') || '","seq":')
    || (e.seq || u.mark || e.seq || '","event_type":"' || e.event_type)
    || (
        coalesce('","task_id":"' || replace(replace(e.task_id, '\', '\\'), '"', '\"'), '')
        || '","ts":"' || e.ts
    )
    || (
        '","received_at":"'
        || to_char(e.received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
        || '","payload":'
    )
    || (e.payload || '}')
"""

# The part that all texts of a stream u share. OFFSET 0 makes Postgres compute it only once.
_MARK = """',"cursor":"' || epoch || '.' AS mark"""

# The bytes of the rows before a row. Cast to integer because a sum of bigint is numeric; by ROWS
# because a RANGE frame has to look for peers. Both would be slower.
BYTES_BEFORE = """
    sum(event_bytes(s.payload)::integer) OVER (in_turn ROWS UNBOUNDED PRECEDING)
        - event_bytes(s.payload)::integer AS bytes_before
"""

# One statement, so that the head and the events are of one snapshot. A stream has no holes, so its
# next events are a range of seqs; with `ORDER BY … LIMIT` the planner took another index, read the
# whole stream and sorted it. The page is bounded by the bytes before a row, so that a row larger
# than the bound is still read, alone. One line for each event: no event's JSON has a line end.
_PAGE = f"""
    SELECT u.epoch, u.oldest_seq, u.last_seq, page.first, page.lines
    FROM (SELECT *, {_MARK} FROM users WHERE user_id = $1 OFFSET 0) u
    CROSS JOIN LATERAL (
        SELECT min(e.seq) AS first,
            convert_to(string_agg({_TEXT}, chr(10) ORDER BY e.seq), 'UTF8') AS lines
        FROM (
            SELECT s.*, {BYTES_BEFORE}
            FROM events s
            WHERE s.user_id = $1 AND s.seq > greatest($2, u.oldest_seq - 1)
                AND s.seq <= greatest($2, u.oldest_seq - 1) + $3
            WINDOW in_turn AS (ORDER BY s.seq)
        ) e
        WHERE e.bytes_before < $4
    ) page
"""

# The next event of every stream comes before the second of any, so that a long stream does not
# use up the bounds.
_NEXT = f"""
    WITH u AS MATERIALIZED (
        SELECT users.*, {_MARK}, greatest(asked.after, oldest_seq - 1) AS after
        FROM unnest($1::uuid[], $2::bigint[]) AS asked (user_id, after)
        JOIN users ON users.user_id = asked.user_id
    )
    SELECT e.user_id, u.epoch, e.seq, convert_to({_TEXT}, 'UTF8'), e.received_at
    FROM (
        SELECT s.*, row_number() OVER in_turn AS turn, {BYTES_BEFORE}
        FROM u
        JOIN events s ON s.user_id = u.user_id AND s.seq > u.after AND s.seq <= u.after + $5
        WINDOW in_turn AS (ORDER BY s.seq - u.after, s.user_id)
    ) e
    JOIN u ON u.user_id = e.user_id
    WHERE e.turn <= $3 AND e.bytes_before < $4
    ORDER BY e.user_id, e.seq
"""

# The rows beyond the bound of bytes are left out, and `cut` says so.
_OF_TASK = f"""
    SELECT u.epoch, u.oldest_seq, u.last_seq, found.*
    FROM (SELECT *, {_MARK} FROM users WHERE user_id = $1 OFFSET 0) u
    LEFT JOIN LATERAL (
        SELECT e.seq, e.event_type, e.task_id, e.payload, convert_to({_TEXT}, 'UTF8') AS text,
            e.all_bytes > $6 AS cut
        FROM (
            SELECT s.*, {BYTES_BEFORE}, sum(event_bytes(s.payload)::integer) OVER () AS all_bytes
            FROM events s
            WHERE s.user_id = $1 AND s.seq > greatest($2, u.oldest_seq - 1)
                AND s.seq <= greatest($2, u.oldest_seq - 1) + $3
                AND (s.task_id = $4 OR $5 AND s.task_id IS NULL AND s.event_type <> 'log')
            WINDOW in_turn AS (ORDER BY s.seq)
        ) e
        WHERE e.bytes_before < $6
    ) found ON true
    ORDER BY found.seq
"""
