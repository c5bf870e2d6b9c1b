"""Stored tasks as people see them: their states, their counts, and which of them pass a filter.

Parts of statements in which `t` is a task and $1 its user.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from relay.db.pool import Row
from relay.errors import InvalidToken
from relay.events import Cursor, rfc3339
from relay.tasks.view import TaskView

_decode_counts = msgspec.json.Decoder(dict[str, int]).decode
_decode_metrics = msgspec.json.Decoder(dict[str, float]).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Which tasks a page has. A field that is None lets every task pass.

    `before` is a seq: only tasks, or groups, whose last event is older than it. `part` is a part
    of a title, `title` a whole one.
    """

    states: Sequence[str] | None = None
    parent_id: str | None = None
    task_ids: Sequence[str] | None = None
    part: str | None = None
    title: str | None = None
    hidden: bool | None = False
    before: int | None = None

    @property
    def values(self) -> tuple[object, ...]:
        """The parameters of PASSES."""
        return (
            self.states,
            self.parent_id,
            self.task_ids,
            self.part,
            self.hidden,
            self.title,
        )


class Present(NamedTuple):
    """Where a user's tasks hold, and how many there are in each state."""

    cursor: Cursor
    revision: int
    counts: dict[str, int]


def present(rows: Sequence[Row]) -> Present:
    """What the rows of a statement with PRESENT have in common.

    Raises InvalidToken when the user no longer exists.
    """
    if not rows:
        raise InvalidToken("The user is gone.", reason="revoked")
    first = rows[0]
    return Present(
        Cursor(first["epoch"], first["projected"]),
        first["at_revision"],
        {} if first["counts"] is None else _decode_counts(first["counts"]),
    )


def task_view(row: Row) -> TaskView:
    """The task of a row that has `shown_state` and `lost_at`."""
    metrics, ended_at = row["metrics"], row["ended_at"]
    stop_requested_at = row["stop_requested_at"]
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
        ended_at=None if ended_at is None else rfc3339(ended_at),
        lost_at=None if lost_at is None else rfc3339(lost_at),
        duration_s=row["duration_s"],
        first_seq=row["first_seq"],
        last_seq=row["last_seq"],
        events=row["events"],
        lease_s=row["lease_s"],
        stoppable=row["stoppable"],
        stop_requested_at=None if stop_requested_at is None else rfc3339(stop_requested_at),
        ask_id=_shown_ask(row),
        hidden=row["hidden"],
    )


def _shown_ask(row: Row) -> str | None:
    """The oldest open ask of a task that waits for it."""
    if row["open_asks"] is None or row["state"] != "waiting":
        return None
    oldest: str = row["open_asks"].partition(" ")[0]
    return oldest


# A task is lost while its lease has run out: seen by the database's clock, never stored.
SHOWN_STATE = """
    CASE WHEN t.lease_s IS NOT NULL AND t.state IN ('running', 'waiting')
        AND now() > greatest(t.last_at, t.beat_at) + t.lease_s * interval '1 second'
        AND now() > lease_ends_at(greatest(t.last_at, t.beat_at), t.lease_s)
    THEN 'lost' ELSE t.state END
"""

LOST_AT = """
    CASE WHEN t.lease_s IS NOT NULL AND t.state IN ('running', 'waiting')
        AND now() > greatest(t.last_at, t.beat_at) + t.lease_s * interval '1 second'
    THEN lease_ends_at(greatest(t.last_at, t.beat_at), t.lease_s) END
"""

# The position, the counts and the tasks belong together, so they are read in one statement.
PRESENT = f"""
    present AS MATERIALIZED (
        SELECT u.epoch, coalesce(p.seq, u.oldest_seq - 1) AS projected,
            coalesce(p.revision, 0) AS at_revision,
            (
                SELECT json_object_agg(c.shown_state, c.tasks)::text FROM (
                    SELECT {SHOWN_STATE} AS shown_state, count(*) AS tasks FROM tasks t
                    WHERE t.user_id = $1 AND NOT t.forgotten AND NOT t.hidden
                    GROUP BY 1
                ) c
            ) AS counts
        FROM users u LEFT JOIN projections p ON p.user_id = u.user_id
        WHERE u.user_id = $1
    )
"""

# Of a TaskFilter's `values`, which are $2 to $7.
PASSES = f"""
    ($2::text[] IS NULL OR {SHOWN_STATE} = ANY ($2))
    AND ($3::text IS NULL OR t.parent_id = $3)
    AND ($4::text[] IS NULL OR t.task_id = ANY ($4))
    AND ($5::text IS NULL OR strpos(lower(t.title), lower($5)) > 0)
    AND ($6::boolean IS NULL OR t.hidden = $6)
    AND ($7::text IS NULL OR t.title = $7)
"""
