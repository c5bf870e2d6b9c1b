"""Reads and writes projections: the stored tasks of users, and the seqs up to which they hold."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec

from relay.db.notifications import OutboxBounds, making_arguments
from relay.db.pages import BYTES_BEFORE
from relay.db.pool import Database, DatabaseConnection, Row
from relay.events import Event
from relay.tasks.task import FoldedTask
from relay.tasks.transitions import Transition

_decode_metrics = msgspec.json.Decoder(dict[str, float]).decode


class Projected(NamedTuple):
    """How far a user's tasks hold, and where the user's stream ends.

    `revision` is 0 while no task of the user was ever stored. `is_notified` is whether the user
    had a channel then.
    """

    epoch: str
    last_seq: int
    seq: int
    revision: int
    is_notified: bool


class Advance(msgspec.Struct):
    """A fold of one user's events: the tasks that it changed, to be stored.

    It began with the rows of `revision` and holds up to `seq`. `added` counts the tasks that no
    row had, `revived` those whose row was a mark. `withdrawn` are asks that ended with their task.
    `noted` is what may make notifications.
    """

    revision: int
    seq: int
    added: int = 0
    revived: int = 0
    tasks: list[FoldedTask] = []
    withdrawn: list[str] = []
    noted: list[Transition] = []


async def select_projected(database: Database, user_ids: Sequence[UUID]) -> dict[UUID, Projected]:
    """How far the tasks of these users hold; users that do not exist are left out."""
    rows = await database.fetch(
        """
        SELECT u.user_id, u.epoch, u.last_seq, coalesce(p.seq, u.oldest_seq - 1),
            coalesce(p.revision, 0), n.user_id IS NOT NULL
        FROM users u LEFT JOIN projections p ON p.user_id = u.user_id
        LEFT JOIN notified_users n ON n.user_id = u.user_id
        WHERE u.user_id = ANY ($1)
        """,
        user_ids,
    )
    return {user_id: Projected(*projected) for user_id, *projected in rows}


async def select_behind(database: Database, limit: int) -> list[UUID]:
    """Users with tasks that do not hold up to the end of their stream."""
    rows = await database.fetch(
        """
        SELECT u.user_id FROM users u LEFT JOIN projections p ON p.user_id = u.user_id
        WHERE u.last_seq > coalesce(p.seq, u.oldest_seq - 1) LIMIT $1
        """,
        limit,
    )
    return [row["user_id"] for row in rows]


async def select_unfolded(
    database: Database | DatabaseConnection,
    after: Mapping[UUID, int],
    epochs: Mapping[UUID, str],
    *,
    max_events: int,
    max_bytes: int,
) -> dict[UUID, list[Event]]:
    """The next events of each of these streams; the bounds are for all of them together.

    A stream may get none, if others use up the bounds.
    """
    rows = await database.fetch(_UNFOLDED, list(after), list(after.values()), max_events, max_bytes)
    found: dict[UUID, list[Event]] = {}
    for user_id, seq, event_id, event_type, task_id, ts, payload, received_at in rows:
        found.setdefault(user_id, []).append(
            Event(epochs[user_id], seq, event_id, event_type, task_id, ts, payload, received_at)
        )
    return found


async def select_tasks(
    database: Database, keys: Iterable[tuple[UUID, str]]
) -> dict[tuple[UUID, str], FoldedTask]:
    """The stored tasks with these users and ids, forgotten ones among them."""
    user_ids, task_ids = zip(*keys, strict=True)
    rows = await database.fetch(_TASKS_BY_ID, user_ids, task_ids)
    return {(row["user_id"], row["task_id"]): task_of_row(row) for row in rows}


def task_of_row(row: Row) -> FoldedTask:
    """The fold's part of a row."""
    metrics = row["metrics"]
    return FoldedTask(
        task_id=row["task_id"],
        run=row["run"],
        state=row["state"],
        first_seq=row["first_seq"],
        last_seq=row["last_seq"],
        events=row["events"],
        started_at=row["started_at"],
        last_at=row["last_at"],
        started_ts=row["started_ts"],
        title=row["title"],
        message=row["message"],
        progress=row["progress"],
        metrics=None if metrics is None else _decode_metrics(metrics),
        parent_id=row["parent_id"],
        url=row["url"],
        lease_s=row["lease_s"],
        stoppable=row["stoppable"],
        exit_code=row["exit_code"],
        duration_s=row["duration_s"],
        ended_at=row["ended_at"],
        open_asks=tuple((row["open_asks"] or "").split()),
        forgotten=row["forgotten"],
    )


async def write_advances(
    database: Database | DatabaseConnection,
    advances: Mapping[UUID, Advance],
    *,
    max_tasks: int,
    bounds: OutboxBounds | None = None,
) -> dict[UUID, int]:
    """Store what folds have changed, in one statement; returns the new revision of each user.

    A user whose tasks were changed since the fold's rows were read is left out, as is one that no
    longer exists. At most `max_tasks` of a user are kept. With `bounds` the same statement makes
    the notifications of what was noted.
    """
    noted = [(user_id, one) for user_id, advance in advances.items() for one in advance.noted]
    making = making_arguments(noted, bounds) if bounds is not None and noted else []
    owners = [user_id for user_id, advance in advances.items() for _task in advance.tasks]
    tasks = [task for advance in advances.values() for task in advance.tasks]
    rows = await database.fetch(
        _WRITE_AND_NOTIFY if making else _WRITE,
        list(advances),
        [advance.revision for advance in advances.values()],
        [advance.seq for advance in advances.values()],
        [advance.added for advance in advances.values()],
        [advance.revived for advance in advances.values()],
        max_tasks,
        owners,
        [task.task_id for task in tasks],
        [task.run for task in tasks],
        [task.state for task in tasks],
        [task.first_seq for task in tasks],
        [task.last_seq for task in tasks],
        [task.events for task in tasks],
        [task.started_at for task in tasks],
        [task.last_at for task in tasks],
        [task.started_ts for task in tasks],
        [task.title for task in tasks],
        [task.message for task in tasks],
        [task.progress for task in tasks],
        [_encode_metrics(task.metrics) for task in tasks],
        [task.parent_id for task in tasks],
        [task.url for task in tasks],
        [task.lease_s for task in tasks],
        [task.stoppable for task in tasks],
        [task.exit_code for task in tasks],
        [task.duration_s for task in tasks],
        [task.ended_at for task in tasks],
        [" ".join(task.open_asks) or None for task in tasks],
        [task.forgotten for task in tasks],
        [UUID(ask_id) for advance in advances.values() for ask_id in advance.withdrawn],
        *making,
    )
    return {user_id: revision for user_id, revision in rows}


def _encode_metrics(metrics: dict[str, float] | None) -> str | None:
    return None if metrics is None else msgspec.json.encode(metrics).decode()


_WRITE = f"""
    SELECT user_id, revision
    FROM write_projections({", ".join(f"${number}" for number in range(1, 31))})
"""

# Of users that were written alone: the others are folded anew, and their notifications with them.
_WRITE_AND_NOTIFY = f"""
    WITH written AS MATERIALIZED ({_WRITE}), made AS MATERIALIZED (
        SELECT make_notifications(array_agg(w.user_id), {", ".join(f"${n}" for n in range(31, 46))})
        FROM written w
    )
    SELECT w.user_id, w.revision FROM written w, made
"""

_TASKS_BY_ID = """
    SELECT t.* FROM unnest($1::uuid[], $2::text[]) AS asked (user_id, task_id)
    JOIN tasks t ON t.user_id = asked.user_id AND t.task_id = asked.task_id
"""

# The next event of every stream comes before the second of any, as in `pages.py`.
_UNFOLDED = f"""
    SELECT e.user_id, e.seq, e.event_id, e.event_type, e.task_id, e.ts, e.payload, e.received_at
    FROM (
        SELECT s.*, row_number() OVER in_turn AS turn, {BYTES_BEFORE}
        FROM unnest($1::uuid[], $2::bigint[]) AS asked (user_id, after)
        JOIN events s ON s.user_id = asked.user_id AND s.seq > asked.after
            AND s.seq <= asked.after + $3
        WINDOW in_turn AS (ORDER BY s.seq - asked.after, s.user_id)
    ) e
    WHERE e.turn <= $3 AND e.bytes_before < $4
    ORDER BY e.user_id, e.seq
"""
