"""A stored task as people see it: its state, the bound of what one statement reads, its view."""

import msgspec

from relay.db.pool import Row
from relay.events import optional_rfc3339, rfc3339
from relay.tasks.view import TaskView

# Of the tasks of one statement. One has 0.7 KiB mostly, and 31 KiB with the longest texts.
MAX_READ_BYTES = 2**21

_decode_metrics = msgspec.json.Decoder(dict[str, float]).decode

# When a task was heard of last, and when its lease ends at the earliest: outages make it end later.
_HEARD_AT = "greatest(t.last_at, t.beat_at)"
LEASE_ENDS = f"{_HEARD_AT} + t.lease_s * interval '1 second'"
LEASE_ENDS_EXACTLY = f"lease_ends_at({_HEARD_AT}, t.lease_s)"

# How much later it ends at most. A statement computes this once. The exact end, for which the
# outages are looked through, is then computed only for the few leases that may have ended in an
# outage, and not for each task that was lost long ago.
OUTAGES = """(
    SELECT coalesce((SELECT sum(o.ended_at - o.began_at) FROM outages o), interval '0')
        + coalesce((SELECT greatest(now() - r.ready_at, '0'::interval) FROM readiness r), '0')
)"""

HAS_LEASE = "t.lease_s IS NOT NULL AND t.state IN ('running', 'waiting')"

# A task is lost while its lease has run out: seen by the database's clock, never stored.
SHOWN_STATE = f"""
    CASE WHEN {HAS_LEASE} AND now() > {LEASE_ENDS}
        AND (now() > {LEASE_ENDS} + {OUTAGES} OR now() > {LEASE_ENDS_EXACTLY})
    THEN 'lost' ELSE t.state END
"""

LOST_AT = f"CASE WHEN {HAS_LEASE} AND now() > {LEASE_ENDS} THEN {LEASE_ENDS_EXACTLY} END"

# About how large a row is for its reader.
BYTES = """
    1000 + coalesce(octet_length(t.title), 0) + coalesce(octet_length(t.message), 0)
        + coalesce(octet_length(t.metrics), 0) + coalesce(octet_length(t.url), 0) AS bytes
"""


def first_of(tasks: str, *, order: str, within: str) -> str:
    """A query for the first of these rows of tasks, which have `bytes`, with the columns of a view.

    `within` may name `place`, which begins with 1, and `bytes_before`: a row larger than a bound is
    still read then, alone. `found` is how many rows there are.
    """
    return f"""
        SELECT t.*, {SHOWN_STATE} AS shown_state, {LOST_AT} AS lost_at FROM (
            SELECT c.*, count(*) OVER () AS found, row_number() OVER in_turn AS place,
                sum(c.bytes) OVER (in_turn ROWS UNBOUNDED PRECEDING) - c.bytes AS bytes_before
            FROM ({tasks}) c WINDOW in_turn AS (ORDER BY {order})
        ) t
        WHERE {within}
    """


def view_of(row: Row) -> TaskView:
    """The task of a row that has `shown_state` and `lost_at`, as readers see it."""
    metrics = row["metrics"]
    lost_at = row["lost_at"] if row["shown_state"] == "lost" else None
    return TaskView(
        task_id=row["task_id"],
        run=row["run"],
        state=row["shown_state"],
        title=row["title"],
        progress=row["progress"],
        message=row["message"],
        metrics={} if metrics is None else _decode_metrics(metrics),
        parent_id=row["parent_id"],
        url=row["url"],
        exit_code=row["exit_code"],
        started_at=rfc3339(row["started_at"]),
        last_at=rfc3339(row["last_at"]),
        ended_at=optional_rfc3339(row["ended_at"]),
        lost_at=optional_rfc3339(lost_at),
        duration_s=row["duration_s"],
        first_seq=row["first_seq"],
        last_seq=row["last_seq"],
        events=row["events"],
        lease_s=row["lease_s"],
        stoppable=row["stoppable"],
        stop_requested_at=optional_rfc3339(row["stop_requested_at"]),
        ask_id=_shown_ask(row),
        hidden=row["hidden"],
    )


def _shown_ask(row: Row) -> str | None:
    """The oldest open ask of a task that waits for it."""
    if row["open_asks"] is None or row["state"] != "waiting":
        return None
    oldest: str = row["open_asks"].partition(" ")[0]
    return oldest
