"""Reads stored tasks for people, as of one snapshot."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec

from relay.db.pool import Database, Row
from relay.errors import InvalidToken
from relay.events import Cursor, rfc3339
from relay.tasks.view import TaskView

_decode_counts = msgspec.json.Decoder(dict[str, int]).decode
_decode_metrics = msgspec.json.Decoder(dict[str, float]).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Which tasks a page has. A field that is None lets every task pass.

    `before` is a seq: only tasks whose last event is older than it. `title` is a part of a title.
    """

    states: Sequence[str] | None = None
    parent_id: str | None = None
    task_ids: Sequence[str] | None = None
    title: str | None = None
    hidden: bool | None = False
    before: int | None = None


@dataclass(frozen=True, slots=True)
class TaskPage:
    """Tasks of one snapshot, those with the latest events first.

    `cursor` is where in the stream they hold. `counts` are of all tasks that are not hidden.
    """

    cursor: Cursor
    revision: int
    counts: dict[str, int]
    tasks: list[TaskView]


async def select_task_page(
    database: Database, user_id: UUID, wanted: TaskFilter, limit: int
) -> TaskPage:
    """Read a page of tasks. Raises InvalidToken when the user no longer exists."""
    rows = await database.fetch(
        _PAGE,
        user_id,
        wanted.states,
        wanted.parent_id,
        wanted.task_ids,
        wanted.title,
        wanted.hidden,
        wanted.before,
        limit,
    )
    if not rows:
        raise InvalidToken("The user is gone.", reason="revoked")
    first = rows[0]
    return TaskPage(
        Cursor(first["epoch"], first["projected"]),
        first["at_revision"],
        {} if first["counts"] is None else _decode_counts(first["counts"]),
        [_view(row) for row in rows if row["task_id"] is not None],
    )


def _view(row: Row) -> TaskView:
    metrics, ended_at = row["metrics"], row["ended_at"]
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
        duration_s=row["duration_s"],
        first_seq=row["first_seq"],
        last_seq=row["last_seq"],
        events=row["events"],
        lease_s=row["lease_s"],
        stoppable=row["stoppable"],
        hidden=row["hidden"],
    )


# A task is lost while its lease has run out: seen by the database's clock, never stored.
_SHOWN_STATE = """
    CASE WHEN t.lease_s IS NOT NULL AND t.state IN ('running', 'waiting')
        AND now() > greatest(t.last_at, t.beat_at) + t.lease_s * interval '1 second'
        AND now() > lease_ends_at(greatest(t.last_at, t.beat_at), t.lease_s)
    THEN 'lost' ELSE t.state END
"""

# One statement, so one snapshot: the position, the counts and the tasks belong together.
_PAGE = f"""
    WITH present AS MATERIALIZED (
        SELECT u.epoch, coalesce(p.seq, u.oldest_seq - 1) AS projected,
            coalesce(p.revision, 0) AS at_revision,
            (
                SELECT json_object_agg(c.shown_state, c.tasks)::text FROM (
                    SELECT {_SHOWN_STATE} AS shown_state, count(*) AS tasks FROM tasks t
                    WHERE t.user_id = $1 AND NOT t.forgotten AND NOT t.hidden
                    GROUP BY 1
                ) c
            ) AS counts
        FROM users u LEFT JOIN projections p ON p.user_id = u.user_id
        WHERE u.user_id = $1
    )
    SELECT present.*, page.* FROM present LEFT JOIN LATERAL (
        SELECT t.*, {_SHOWN_STATE} AS shown_state FROM tasks t
        WHERE t.user_id = $1 AND NOT t.forgotten
            AND ($2::text[] IS NULL OR {_SHOWN_STATE} = ANY ($2))
            AND ($3::text IS NULL OR t.parent_id = $3)
            AND ($4::text[] IS NULL OR t.task_id = ANY ($4))
            AND ($5::text IS NULL OR strpos(lower(t.title), lower($5)) > 0)
            AND ($6::boolean IS NULL OR t.hidden = $6)
            AND ($7::bigint IS NULL OR t.last_seq < $7)
        ORDER BY t.last_seq DESC LIMIT $8
    ) page ON true
    ORDER BY page.last_seq DESC
"""
