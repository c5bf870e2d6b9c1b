"""The stored tasks of users: brought up to date, and read as the fold made them."""

from uuid import UUID

import trio

from relay.db.pool import Database, DatabaseConnection
from relay.db.projections import select_projected, task_of_row
from relay.events import Event
from relay.projection.projector import Projector
from relay.tasks.task import FoldedTask
from tests.support.patience import PATIENCE

MAX_TASKS = 10_000


async def project_all(database: Database, *, max_tasks: int = MAX_TASKS) -> None:
    """Fold every stored event of every user, as the process that runs housekeeping does it."""
    projector = Projector(database, max_tasks=max_tasks)
    users = [row["user_id"] for row in await database.fetch("SELECT user_id FROM users")]
    heads = await select_projected(database, users)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(projector.run)
        with trio.fail_after(PATIENCE):
            for user_id, head in heads.items():
                await projector.catch_up(user_id, head.last_seq)
        nursery.cancel_scope.cancel()


async def stored_tasks(database: Database, user_id: UUID) -> dict[str, FoldedTask]:
    rows = await database.fetch("SELECT * FROM tasks WHERE user_id = $1", user_id)
    return {row["task_id"]: task_of_row(row) for row in rows}


async def stored_events(database: Database, user_id: UUID) -> list[Event]:
    """All events of a user that are stored, in order, as a fold takes them."""
    rows = await database.fetch("SELECT * FROM events WHERE user_id = $1 ORDER BY seq", user_id)
    return [
        Event(
            epoch="e",
            seq=row["seq"],
            id=row["event_id"],
            event_type=row["event_type"],
            task_id=row["task_id"],
            ts=row["ts"],
            payload=row["payload"],
            received_at=row["received_at"],
        )
        for row in rows
    ]


async def count_as_folded(database: Database | DatabaseConnection) -> None:
    """Let retention trim any stored event: it trims none whose task is not up to date."""
    await database.execute(
        """
        INSERT INTO projections (user_id, seq) SELECT user_id, 1000000000 FROM users
        ON CONFLICT (user_id) DO UPDATE SET seq = excluded.seq
        """
    )
