"""Reads stored tasks for people, as of one snapshot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from relay.db.pool import Database, Row
from relay.errors import InvalidToken
from relay.events import Cursor, rfc3339
from relay.tasks.view import TaskView

SNAPSHOT_ACTIVE = 1_000  # tasks that are not over, in a stream's first messages
SNAPSHOT_ENDED = 200

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
    return _page(rows)


async def select_snapshot(database: Database, user_id: UUID) -> TaskPage:
    """The tasks for a stream's start: those that are not over, and the latest that are.

    Hidden ones are left out. Raises InvalidToken when the user no longer exists.
    """
    rows = await database.fetch(_SNAPSHOT, user_id, SNAPSHOT_ACTIVE, SNAPSHOT_ENDED)
    return _page(rows)


class TaskChange(NamedTuple):
    """A task that has changed, with its revision; None if only its lease has run out.

    `view` is None if it was forgotten.
    """

    user_id: UUID
    task_id: str
    revision: int | None
    view: TaskView | None


@dataclass(frozen=True, slots=True)
class TaskChanges:
    """What has changed by the time `at`, and the present revision of each user that has changes."""

    at: datetime
    revisions: dict[UUID, int]
    tasks: list[TaskChange]


async def select_changed_tasks(
    database: Database, seen: Mapping[UUID, int], leases_since: datetime | None
) -> TaskChanges:
    """The tasks of these users with a later revision than the one seen, and those lost since.

    `leases_since` is the `at` of the last call; None looks ten seconds back, which is before the
    snapshot of a reader that has just come.
    """
    rows = await database.fetch(_CHANGES, list(seen), list(seen.values()), leases_since)
    tasks = [
        TaskChange(
            row["user_id"],
            row["task_id"],
            None if row["ran_out"] else row["revision"],
            None if row["forgotten"] else _view(row),
        )
        for row in rows
        if row["task_id"] is not None
    ]
    return TaskChanges(
        rows[0]["at"],
        {row["asked_user"]: row["present_revision"] for row in rows if row["asked_user"]},
        tasks,
    )


def _page(rows: Sequence[Row]) -> TaskPage:
    """Raises InvalidToken when the user no longer exists."""
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
_SHOWN_STATE = """
    CASE WHEN t.lease_s IS NOT NULL AND t.state IN ('running', 'waiting')
        AND now() > greatest(t.last_at, t.beat_at) + t.lease_s * interval '1 second'
        AND now() > lease_ends_at(greatest(t.last_at, t.beat_at), t.lease_s)
    THEN 'lost' ELSE t.state END
"""

_LOST_AT = """
    CASE WHEN t.lease_s IS NOT NULL AND t.state IN ('running', 'waiting')
        AND now() > greatest(t.last_at, t.beat_at) + t.lease_s * interval '1 second'
    THEN lease_ends_at(greatest(t.last_at, t.beat_at), t.lease_s) END
"""

# The position, the counts and the tasks belong together, so they are read in one statement.
_PRESENT = f"""
    present AS MATERIALIZED (
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
"""

_PAGE = f"""
    WITH {_PRESENT}
    SELECT present.*, page.* FROM present LEFT JOIN LATERAL (
        SELECT t.*, {_SHOWN_STATE} AS shown_state, {_LOST_AT} AS lost_at FROM tasks t
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

_SNAPSHOT = f"""
    WITH {_PRESENT}
    SELECT present.*, page.* FROM present LEFT JOIN LATERAL (
        (
            SELECT t.*, {_SHOWN_STATE} AS shown_state, {_LOST_AT} AS lost_at FROM tasks t
            WHERE t.user_id = $1 AND NOT t.forgotten AND NOT t.hidden
                AND t.state IN ('running', 'waiting')
            ORDER BY t.last_seq DESC LIMIT $2
        )
        UNION ALL
        (
            SELECT t.*, t.state AS shown_state, NULL::timestamptz AS lost_at FROM tasks t
            WHERE t.user_id = $1 AND NOT t.forgotten AND NOT t.hidden
                AND t.state NOT IN ('running', 'waiting')
            ORDER BY t.last_seq DESC LIMIT $3
        )
    ) page ON true
    ORDER BY page.last_seq DESC
"""

_CHANGES = f"""
    WITH asked AS (
        SELECT a.user_id, a.seen, p.revision AS present_revision
        FROM unnest($1::uuid[], $2::bigint[]) AS a (user_id, seen)
        JOIN projections p ON p.user_id = a.user_id
    )
    SELECT now() AS at, changed.* FROM (VALUES (1)) AS one LEFT JOIN LATERAL (
        SELECT a.user_id AS asked_user, a.present_revision, false AS ran_out, t.*,
            {_SHOWN_STATE} AS shown_state, {_LOST_AT} AS lost_at
        FROM asked a LEFT JOIN tasks t ON t.user_id = a.user_id AND t.revision > a.seen
        WHERE a.present_revision > a.seen
        UNION ALL
        SELECT a.user_id AS asked_user, a.present_revision, true AS ran_out, t.*,
            {_SHOWN_STATE} AS shown_state, {_LOST_AT} AS lost_at
        FROM asked a JOIN tasks t ON t.user_id = a.user_id
        WHERE t.lease_s IS NOT NULL AND t.state IN ('running', 'waiting')
            AND now() > greatest(t.last_at, t.beat_at) + t.lease_s * interval '1 second'
            AND lease_ends_at(greatest(t.last_at, t.beat_at), t.lease_s)
                BETWEEN coalesce($3::timestamptz, now() - interval '10 seconds') AND now()
    ) changed ON true
"""
