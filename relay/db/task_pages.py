"""Reads stored tasks for people, as of one snapshot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from relay.db.pool import Database, Row
from relay.db.shown_tasks import (
    LOST_AT,
    PASSES,
    PRESENT,
    SHOWN_STATE,
    TaskFilter,
    present,
    task_view,
)
from relay.events import Cursor
from relay.tasks.view import TaskView

SNAPSHOT_ACTIVE = 1_000  # tasks that are not over, in a stream's first messages
SNAPSHOT_ENDED = 200


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
        *wanted.values,
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
            None if row["forgotten"] else task_view(row),
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
    at = present(rows)
    return TaskPage(
        at.cursor,
        at.revision,
        at.counts,
        [task_view(row) for row in rows if row["task_id"] is not None],
    )


_PAGE = f"""
    WITH {PRESENT}
    SELECT present.*, page.* FROM present LEFT JOIN LATERAL (
        SELECT t.*, {SHOWN_STATE} AS shown_state, {LOST_AT} AS lost_at FROM tasks t
        WHERE t.user_id = $1 AND NOT t.forgotten
            AND {PASSES}
            AND ($8::bigint IS NULL OR t.last_seq < $8)
        ORDER BY t.last_seq DESC LIMIT $9
    ) page ON true
    ORDER BY page.last_seq DESC
"""

_SNAPSHOT = f"""
    WITH {PRESENT}
    SELECT present.*, page.* FROM present LEFT JOIN LATERAL (
        (
            SELECT t.*, {SHOWN_STATE} AS shown_state, {LOST_AT} AS lost_at FROM tasks t
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
            {SHOWN_STATE} AS shown_state, {LOST_AT} AS lost_at
        FROM asked a LEFT JOIN tasks t ON t.user_id = a.user_id AND t.revision > a.seen
        WHERE a.present_revision > a.seen
        UNION ALL
        SELECT a.user_id AS asked_user, a.present_revision, true AS ran_out, t.*,
            {SHOWN_STATE} AS shown_state, {LOST_AT} AS lost_at
        FROM asked a JOIN tasks t ON t.user_id = a.user_id
        WHERE t.lease_s IS NOT NULL AND t.state IN ('running', 'waiting')
            AND now() > greatest(t.last_at, t.beat_at) + t.lease_s * interval '1 second'
            AND lease_ends_at(greatest(t.last_at, t.beat_at), t.lease_s)
                BETWEEN coalesce($3::timestamptz, now() - interval '10 seconds') AND now()
    ) changed ON true
"""
