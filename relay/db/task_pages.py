"""Reads stored tasks for people, as of one snapshot."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from relay.db.pool import Database, Row
from relay.db.shown_tasks import PASSES, PRESENT, StoredTaskFilter, present
from relay.db.task_rows import BYTES, MAX_READ_BYTES, first_of, view_of
from relay.events import Cursor
from relay.tasks.task import ENDED
from relay.tasks.view import TaskView

SNAPSHOT_ACTIVE = 1_000  # tasks that are not over, in a stream's first messages
SNAPSHOT_ENDED = 200
_AFTER_ALL = 2**63 - 1  # a seq


class StoredTaskPage(msgspec.Struct, frozen=True):
    """Tasks of one snapshot, those with the latest events first.

    `at` is the database's time, by which leases have run out, and `cursor` where in the stream they
    hold. `counts` are of all tasks that are not hidden. `is_cut`: more tasks follow.
    """

    at: datetime
    cursor: Cursor
    revision: int
    counts: dict[str, int]
    tasks: list[TaskView]
    is_cut: bool


class SnapshotPart(NamedTuple):
    """The tasks of a stream's snapshot that are still to be read: of those whose last event is
    older than `before`, so many that are not over and so many that are."""

    before: int = _AFTER_ALL
    active: int = SNAPSHOT_ACTIVE
    ended: int = SNAPSHOT_ENDED

    def after(self, page: StoredTaskPage) -> "SnapshotPart | None":
        """What is still to be read after this page; None if it is the last one."""
        if not page.is_cut:
            return None
        ended = len([task for task in page.tasks if task.state in ENDED])
        active = len(page.tasks) - ended
        return SnapshotPart(page.tasks[-1].last_seq, self.active - active, self.ended - ended)


async def select_task_page(
    database: Database, user_id: UUID, wanted: StoredTaskFilter, limit: int
) -> StoredTaskPage:
    """Read up to `limit` tasks, fewer if they are large.

    Raises UserGone.
    """
    rows = await database.fetch(
        _PAGE,
        user_id,
        *wanted.values,
        wanted.before,
        limit,
        MAX_READ_BYTES,
    )
    return _page(rows)


async def select_snapshot(database: Database, user_id: UUID, part: SnapshotPart) -> StoredTaskPage:
    """The first tasks of a part of the snapshot: as many as one statement reads.

    Hidden ones are left out. A task that has changed since the part before was read may be missing:
    it is one of the changes since then. Raises UserGone.
    """
    most = part.active + part.ended
    return _page(await database.fetch(_SNAPSHOT, user_id, *part, most, MAX_READ_BYTES))


def _page(rows: Sequence[Row]) -> StoredTaskPage:
    """Raises UserGone."""
    common = present(rows)
    tasks = [view_of(row) for row in rows if row["task_id"] is not None]
    is_cut = bool(tasks) and rows[0]["found"] > len(tasks)
    return StoredTaskPage(*common, tasks, is_cut)


def _latest(tasks: str, *, most: str, most_bytes: str) -> str:
    """A statement for the first of these tasks, and what belongs to them.

    `most` and `most_bytes` are the parameters that bound it.
    """
    within = f"t.place <= {most}::integer AND t.bytes_before < {most_bytes}::integer"
    return f"""
        WITH {PRESENT}
        SELECT present.*, page.* FROM present LEFT JOIN LATERAL (
            {first_of(tasks, order="c.last_seq DESC", within=within)}
        ) page ON true
        ORDER BY page.place
    """


# One more than the page has tells whether more follow.
_PAGE = _latest(
    f"""
    SELECT t.*, {BYTES} FROM tasks t
    WHERE t.user_id = $1 AND NOT t.forgotten AND {PASSES}
        AND ($8::bigint IS NULL OR t.last_seq < $8)
    ORDER BY t.last_seq DESC LIMIT $9::integer + 1
    """,
    most="$9",
    most_bytes="$10",
)


def _of_snapshot(states: str, most: str) -> str:
    return f"""(
        SELECT t.*, {BYTES} FROM tasks t
        WHERE t.user_id = $1 AND NOT t.forgotten AND NOT t.hidden AND t.last_seq < $2
            AND t.state {states} ('running', 'waiting')
        ORDER BY t.last_seq DESC LIMIT {most}
    )"""


_SNAPSHOT = _latest(
    f"{_of_snapshot('IN', '$3')} UNION ALL {_of_snapshot('NOT IN', '$4')}",
    most="$5",
    most_bytes="$6",
)
