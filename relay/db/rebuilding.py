"""Statements that make the stored tasks of one user anew, on a connection of its own."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from relay.db.pool import Database, DatabaseConnection
from relay.db.projections import task_of_row
from relay.tasks.task import FoldedTask


class ProjectionState(NamedTuple):
    """Where a user's stream begins, up to which seq its tasks hold, and their revision."""

    epoch: str
    oldest_seq: int
    seq: int
    revision: int


class StoredTask(NamedTuple):
    """A stored task, and the Unix time of its last event or beat, which the bound goes by."""

    task: FoldedTask
    heard_at: float


async def select_users(database: Database, after: UUID | None, limit: int) -> list[UUID]:
    """Users in the order of their ids, after this one."""
    rows = await database.fetch(
        """
        SELECT user_id FROM users WHERE $1::uuid IS NULL OR user_id > $1
        ORDER BY user_id LIMIT $2
        """,
        after,
        limit,
    )
    return [row["user_id"] for row in rows]


async def select_projection_state(
    connection: DatabaseConnection, user_id: UUID, *, lock: bool = False
) -> ProjectionState | None:
    """The state of the user's projection; None if there is none. `lock`: until the commit."""
    rows = await connection.fetch(
        f"""
        SELECT u.epoch, u.oldest_seq, p.seq, p.revision
        FROM projections p JOIN users u ON u.user_id = p.user_id
        WHERE p.user_id = $1 {"FOR UPDATE OF p" if lock else ""}
        """,
        user_id,
    )
    return ProjectionState(*rows[0]) if rows else None


async def select_all_tasks(connection: DatabaseConnection, user_id: UUID) -> dict[str, StoredTask]:
    """All stored tasks of the user, forgotten ones among them."""
    rows = await connection.fetch(
        """
        SELECT t.*, extract(epoch FROM greatest(t.last_at, t.beat_at))::float8 AS heard_at
        FROM tasks t WHERE t.user_id = $1
        """,
        user_id,
    )
    return {row["task_id"]: StoredTask(task_of_row(row), row["heard_at"]) for row in rows}


async def delete_stored_tasks(
    connection: DatabaseConnection, user_id: UUID, task_ids: Sequence[str]
) -> None:
    """Delete tasks that no event knows. The caller has locked the projection."""
    await connection.execute(
        "DELETE FROM tasks WHERE user_id = $1 AND task_id = ANY ($2)", user_id, task_ids
    )


async def recount_tasks(connection: DatabaseConnection, user_id: UUID) -> None:
    """Count the user's tasks and marks anew. The caller has locked the projection."""
    await connection.execute(
        """
        UPDATE projections SET
            tasks = (SELECT count(*) FROM tasks WHERE user_id = $1 AND NOT forgotten),
            marks = (SELECT count(*) FROM tasks WHERE user_id = $1 AND forgotten)
        WHERE user_id = $1
        """,
        user_id,
    )
