"""Folds the histories of users' tasks onto the stored ones: what is then to be written."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import trio

from relay.db.pool import Database
from relay.db.projections import Advance, Projected, select_tasks
from relay.projection.pending_events import History
from relay.tasks.fold import fold
from relay.tasks.segments import Segment
from relay.tasks.task import FoldedTask
from relay.tasks.transitions import fold_noting

CHECKPOINT_TASKS = 100  # folded without a pause for the other tasks of the process


async def fold_histories(
    database: Database, projected: Mapping[UUID, Projected], histories: Mapping[UUID, History]
) -> dict[UUID, Advance]:
    """Fold each user's history, which begins after what is stored. Raises DatabaseAway."""
    joined: dict[UUID, dict[str, list[Segment]]] = {}
    for user_id, history in histories.items():
        while history.join_some():
            await trio.lowlevel.checkpoint()
        joined[user_id] = history.tasks
        await trio.lowlevel.checkpoint()
    keys = [(user_id, task_id) for user_id, tasks in joined.items() for task_id in tasks]
    stored = await select_tasks(database, keys) if keys else {}
    advances: dict[UUID, Advance] = {}
    for user_id, tasks in joined.items():
        at = projected[user_id]
        advance = advances[user_id] = Advance(at.revision, histories[user_id].last_seq)
        # before an event that came since the look at the user, a channel may have been added
        is_notified = at.is_notified or advance.seq > at.last_seq
        for number, (task_id, segments) in enumerate(tasks.items(), 1):
            before = stored.get((user_id, task_id))
            _add(advance, before, task_id, segments, is_notified=is_notified)
            if number % CHECKPOINT_TASKS == 0:
                await trio.lowlevel.checkpoint()
    return advances


def _add(
    advance: Advance,
    stored: FoldedTask | None,
    task_id: str,
    segments: Sequence[Segment],
    *,
    is_notified: bool,
) -> None:
    """Fold one task's history, and add the task to what has to be stored.

    For a user that may have a channel, also what makes notifications.
    """
    was_mark = stored is not None and stored.forgotten
    if is_notified:
        task = fold_noting(stored, task_id, segments, advance.withdrawn, advance.noted)
    else:
        task = fold(stored, task_id, segments, advance.withdrawn)
    if task is None:
        return
    advance.added += stored is None
    advance.revived += was_mark and not task.forgotten
    advance.tasks.append(task)
