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


async def request_stop(
    database: Database, user_id: UUID, task_id: str, run: int | None, *, by: UUID
) -> bool | None:
    """Ask a run of a task to stop, on behalf of a session; a second request changes nothing.

    Without `run` it is the present one. Returns False if the run has ended or cannot be stopped,
    None if there is no such task.
    """
    requested: bool | None = await database.fetchval(
        "SELECT request_stop($1, $2, $3, $4)", user_id, task_id, run, by
    )
    return requested


async def select_user_stops(
    database: Database, user_id: UUID, task_ids: Sequence[str]
) -> list[str]:
    """Those of a user's tasks whose present run was asked to stop, and has not ended."""
    stopped = await select_stop_requests(database, [(user_id, task_id) for task_id in task_ids])
    return [task_id for _, task_id in stopped]


async def select_stop_requests(
    database: Database, keys: Sequence[tuple[UUID, str]]
) -> list[tuple[UUID, str]]:
    """Those of the tasks of any users whose present run was asked to stop, and has not ended."""
    rows = await database.fetch(
        """
        SELECT t.user_id, t.task_id FROM unnest($1::uuid[], $2::text[]) AS asked (user_id, task_id)
        JOIN tasks t ON t.user_id = asked.user_id AND t.task_id = asked.task_id
        WHERE t.stop_requested_at IS NOT NULL AND t.state IN ('running', 'waiting')
            AND NOT t.forgotten
        """,
        [user_id for user_id, _ in keys],
        [task_id for _, task_id in keys],
    )
    return [(row["user_id"], row["task_id"]) for row in rows]
