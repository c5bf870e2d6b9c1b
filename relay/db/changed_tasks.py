"""Reads which tasks of many users have changed, part by part, for the streams that send them.

A projection names the tasks of its latest changes, so these are found by their keys, however many
tasks their users have. Only for a reader that is further behind all tasks of its user are looked
at.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from relay.db.pool import Database
from relay.db.task_rows import (
    BYTES,
    HAS_LEASE,
    LEASE_ENDS,
    LEASE_ENDS_EXACTLY,
    MAX_READ_BYTES,
    OUTAGES,
    first_of,
    view_of,
)
from relay.tasks.view import TaskView

_BEFORE_ALL = (UUID(int=0), "")


class Changed(NamedTuple):
    """A user's tasks have changed: up to this revision, and which; None if that is not known."""

    revision: int
    task_ids: Sequence[str] | None


class Revisions(NamedTuple):
    """The users whose tasks have changed, at the time `at`."""

    at: datetime
    changed: dict[UUID, Changed]


class ChangedTask(NamedTuple):
    """A task that has changed, with its revision; None if its lease has run out.

    `view` is None if it was forgotten.
    """

    user_id: UUID
    task_id: str
    revision: int | None
    view: TaskView | None


async def select_revisions(database: Database, seen: Mapping[UUID, int]) -> Revisions:
    """Which of these users have tasks with a later revision than the one seen."""
    rows = await database.fetch(_REVISIONS, list(seen), list(seen.values()))
    changed = {
        row["user_id"]: Changed(row["revision"], row["task_ids"])
        for row in rows
        if row["user_id"] is not None
    }
    return Revisions(rows[0]["at"], changed)


async def each_change(
    database: Database,
    seen: Mapping[UUID, int],
    changed: Mapping[UUID, Changed],
    leases_since: Mapping[UUID, datetime],
    leases_until: datetime,
) -> AsyncGenerator[list[ChangedTask], None]:
    """The tasks of `changed` users with a later revision than the one seen, and those that were
    lost between a user's time in `leases_since` and `leases_until`. They come in parts, each read
    when it is asked for.
    """
    after: tuple[UUID, str] | None = _BEFORE_ALL
    named = [(user, one) for user, (_, task_ids) in changed.items() for one in task_ids or ()]
    unnamed = [user for user, (_, task_ids) in changed.items() if task_ids is None]
    while after is not None:
        rows = await database.fetch(
            _CHANGES,
            unnamed,
            [seen[user_id] for user_id in unnamed],
            list(leases_since),
            list(leases_since.values()),
            leases_until,
            *after,
            MAX_READ_BYTES,
            [user_id for user_id, _ in named],
            [task_id for _, task_id in named],
            [seen[user_id] for user_id, _ in named],
        )
        yield [
            ChangedTask(
                row["user_id"],
                row["task_id"],
                None if row["ran_out"] else row["revision"],
                None if row["forgotten"] else view_of(row),
            )
            for row in rows
        ]
        is_cut = bool(rows) and rows[0]["found"] > len(rows)
        after = (rows[-1]["user_id"], rows[-1]["task_id"]) if is_cut else None


_REVISIONS = """
    SELECT now() AS at, changed.* FROM (VALUES (1)) AS one LEFT JOIN LATERAL (
        SELECT p.user_id, p.revision, CASE WHEN p.changes_after <= asked.seen THEN ARRAY(
            SELECT DISTINCT c.task_id FROM unnest(p.changed_ids, p.changed_in) c (task_id, revision)
            WHERE c.revision > asked.seen
        ) END AS task_ids
        FROM unnest($1::uuid[], $2::bigint[]) AS asked (user_id, seen)
        JOIN projections p ON p.user_id = asked.user_id AND p.revision > asked.seen
    ) changed ON true
"""

_CHANGED = f"""
    SELECT t.*, {BYTES}, false AS ran_out
    FROM unnest($1::uuid[], $2::bigint[]) AS asked (user_id, seen)
    JOIN tasks t ON t.user_id = asked.user_id AND t.revision > asked.seen
    WHERE (t.user_id, t.task_id) > ($6::uuid, $7::text)
    UNION ALL
    SELECT t.*, {BYTES}, false AS ran_out
    FROM unnest($9::uuid[], $10::text[], $11::bigint[]) AS named (user_id, task_id, seen)
    CROSS JOIN LATERAL (
        SELECT * FROM tasks t WHERE t.user_id = named.user_id AND t.task_id = named.task_id
            AND t.revision > named.seen
        OFFSET 0 -- by its key: a plan that reads all tasks would look cheap while there are few
    ) t
    WHERE (t.user_id, t.task_id) > ($6::uuid, $7::text)
    UNION ALL
    SELECT t.*, {BYTES}, true AS ran_out
    FROM unnest($3::uuid[], $4::timestamptz[]) AS asked (user_id, since)
    JOIN tasks t ON t.user_id = asked.user_id
    WHERE (t.user_id, t.task_id) > ($6::uuid, $7::text) AND {HAS_LEASE}
        AND {LEASE_ENDS} < $5::timestamptz AND {LEASE_ENDS} + {OUTAGES} >= asked.since
        AND {LEASE_ENDS_EXACTLY} BETWEEN asked.since AND $5
"""

# A task may be in both halves. The lease half comes first, so if a part ends between the two, the
# next one does not repeat the task.
_ORDER = "c.user_id, c.task_id, c.ran_out DESC"

_CHANGES = f"""
    {first_of(_CHANGED, order=_ORDER, within="t.bytes_before < $8::integer")}
    ORDER BY t.place
"""
