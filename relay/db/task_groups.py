"""Reads groups of stored tasks: those of one title, or a parent with its children."""

from typing import Literal
from uuid import UUID

import msgspec

from relay.db.pool import Database
from relay.db.shown_tasks import PASSES, PRESENT, StoredTaskFilter, present
from relay.db.task_rows import LOST_AT, SHOWN_STATE, view_of
from relay.events import Cursor
from relay.tasks.view import TaskOutcome, TaskView

GroupKey = Literal["title", "parent"]
RECENT_TASKS = 20  # whose outcomes a group has

_decode_outcomes = msgspec.json.Decoder(list[TaskOutcome]).decode


class FoundGroup(msgspec.Struct, frozen=True):
    """Tasks that belong together: `task` stands for them, `recent` are the latest, newest first."""

    tasks: int
    last_seq: int
    task: TaskView
    recent: list[TaskOutcome]


class GroupPage(msgspec.Struct, frozen=True):
    """Groups of one snapshot, the latest events first; the rest is as in StoredTaskPage."""

    cursor: Cursor
    counts: dict[str, int]
    groups: list[FoundGroup]


async def select_group_page(
    database: Database, user_id: UUID, key: GroupKey, wanted: StoredTaskFilter, limit: int
) -> GroupPage:
    """Read a page of groups of the tasks that pass. Raises UserGone."""
    rows = await database.fetch(_GROUPS[key], user_id, *wanted.values, wanted.before, limit)
    at = present(rows)
    return GroupPage(
        at.cursor,
        at.counts,
        [
            FoundGroup(
                row["group_tasks"],
                row["group_seq"],
                view_of(row),
                _decode_outcomes(row["recent"]),
            )
            for row in rows
            if row["group_tasks"] is not None
        ],
    )


# A task without a title is a group of its own, as is one that is no parent and has none.
_KEYS: dict[GroupKey, tuple[str, str]] = {
    "title": (
        "CASE WHEN t.title IS NULL THEN 'i' || t.task_id ELSE 't' || t.title END COLLATE \"C\"",
        "first_value(task_id) OVER latest_first",
    ),
    "parent": (
        'coalesce(t.parent_id, t.task_id) COLLATE "C"',
        "coalesce(max(task_id) FILTER (WHERE task_id = group_key) OVER of_group,"
        " first_value(task_id) OVER latest_first)",
    ),
}

# The tasks are read once, and sorted by group and time and by group. A user has 10 000 at most.
# A group's latest seq is no other one's, so it stands for the group; nothing is joined by its key.
_GROUPS = {
    name: f"""
    WITH {PRESENT}, members AS (
        SELECT t.task_id, t.run, t.duration_s, t.last_seq, {SHOWN_STATE} AS shown_state,
            {group_key} AS group_key
        FROM tasks t WHERE t.user_id = $1 AND NOT t.forgotten AND {PASSES}
    ), ranked AS (
        SELECT *, count(*) OVER of_group AS group_tasks, max(last_seq) OVER of_group AS group_seq,
            row_number() OVER latest_first AS place, {of_all} AS of_all
        FROM members
        WINDOW of_group AS (PARTITION BY group_key),
            latest_first AS (PARTITION BY group_key ORDER BY last_seq DESC)
    ), placed AS (
        SELECT *, dense_rank() OVER (ORDER BY group_seq DESC) AS group_place FROM ranked
        WHERE $8::bigint IS NULL OR group_seq < $8
    ), page AS (
        SELECT group_seq, min(group_tasks) AS group_tasks, min(of_all) AS of_all,
            json_agg(json_build_object('task_id', task_id, 'run', run, 'state', shown_state,
                'duration_s', duration_s) ORDER BY place)
                FILTER (WHERE place <= {RECENT_TASKS})::text AS recent
        FROM placed WHERE group_place <= $9::bigint GROUP BY group_seq
    )
    SELECT present.*, shown.* FROM present LEFT JOIN LATERAL (
        SELECT page.group_tasks, page.group_seq, page.recent, t.*,
            {SHOWN_STATE} AS shown_state, {LOST_AT} AS lost_at
        FROM page JOIN tasks t ON t.user_id = $1 AND t.task_id = page.of_all
    ) shown ON true
    ORDER BY shown.group_seq DESC
    """
    for name, (group_key, of_all) in _KEYS.items()
}
