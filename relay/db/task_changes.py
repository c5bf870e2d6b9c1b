"""Changes of stored tasks that come from people and producers, not from events.

Each takes the lock of the user's projection first, so that it and a fold follow one another, and
gives the changed tasks a new revision.
"""

from collections.abc import Sequence
from uuid import UUID

from relay.db.pool import Database


async def set_hidden(
    database: Database, user_id: UUID, task_ids: Sequence[str], *, hidden: bool
) -> list[str]:
    """Hide tasks, or show them again; returns the ids of those that exist."""
    rows = await database.fetch(
        "SELECT task_id FROM set_tasks_hidden($1, $2, $3) AS task_id", user_id, task_ids, hidden
    )
    return [row["task_id"] for row in rows]


async def forget_tasks(
    database: Database, user_id: UUID, *, task_id: str | None, max_marks: int
) -> int:
    """Forget one task, or all that have ended; returns how many. A mark of each stays."""
    forgotten: int = await database.fetchval(
        "SELECT forget_tasks($1, $2, $3)", user_id, task_id, max_marks
    )
    return forgotten


async def renew_leases(
    database: Database, user_id: UUID, task_ids: Sequence[str], *, wait: int = 0
) -> None:
    """Note that these tasks are alive, now or, while their beat waits, for `wait` more seconds.

    Unknown tasks, and those that have ended, are left alone.
    """
    await database.execute("SELECT renew_leases($1, $2, $3)", user_id, task_ids, wait)
