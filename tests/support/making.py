"""What happens to tasks of users with channels, and the notifications that it makes."""

import json
from typing import Any
from uuid import UUID, uuid4

import trio

from relay.db.channels import add_channel
from relay.db.pool import Database
from relay.events import NewEvent, utc_now
from tests.support.channels import new_channel
from tests.support.patience import PATIENCE
from tests.support.projecting import Process


async def stored_channel(database: Database, user_id: UUID, **rules: Any) -> UUID:
    new = new_channel(user_id, **rules)
    assert (await add_channel(database, new, at_most=20)).outcome == "added"
    return new.channel_id


def happened(kind: str, task_id: str = "t", **payload: Any) -> NewEvent:
    at = utc_now()
    text = json.dumps(payload)
    return NewEvent(str(uuid4()), f"task_{kind}", task_id, at.isoformat(), text, at)


async def posted(here: Process, user_id: UUID, *events: NewEvent) -> None:
    """Store events, and wait until they are folded."""
    receipts = await here.journal.append(user_id, list(events))
    with trio.fail_after(PATIENCE):
        await here.projector.catch_up(user_id, receipts[-1].seq)


async def made(database: Database, user_id: UUID) -> list[tuple[Any, ...]]:
    rows = await database.fetch(
        "SELECT state, task_id, run FROM notifications WHERE user_id = $1 ORDER BY position",
        user_id,
    )
    return [tuple(row) for row in rows]
