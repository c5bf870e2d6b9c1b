"""Makes the stored tasks of a user anew from the stored events, while processes serve the user.

Most events are folded without a lock. What was committed meanwhile is folded under the lock of the
user's projection, which other folds wait for, so little may be left for it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import msgspec
import trio

from relay.db.pool import DatabaseConnection
from relay.db.projections import Advance, select_unfolded, write_advances
from relay.db.rebuilding import (
    ProjectionState,
    StoredTask,
    delete_stored_tasks,
    recount_tasks,
    select_all_tasks,
    select_projection_state,
)
from relay.events import Event
from relay.tasks.fold import add_to_tasks, fold
from relay.tasks.segments import Segment
from relay.tasks.task import FoldedTask
from relay.tasks.trimmed import base_of, completed

PAGE_EVENTS = 5_000  # read by one statement
PAGE_BYTES = 8 * 2**20
LOCKED_EVENTS = 5_000  # folded under the lock at most, as by one round of the projector
ATTEMPTS = 10  # of one user: others write, and retention trims


class KeepsChanging(Exception):
    """The user's stream changes faster than it is folded."""


class _StreamChanged(Exception):
    """While it was read, events were trimmed or the stream got another epoch."""


class Rebuilt(msgspec.Struct):
    """How many tasks a user has, and how many of them were stored otherwise."""

    tasks: int
    changed: int


class _Fold(msgspec.Struct):
    """What the events up to `seq` make of the tasks that were stored at the beginning."""

    epoch: str
    oldest_seq: int
    seq: int
    tasks: dict[str, FoldedTask] = {}


async def rebuild(
    connection: DatabaseConnection, user_id: UUID, *, max_tasks: int
) -> Rebuilt | None:
    """Make the user's tasks anew; None if the user has none, or no longer exists.

    What people have hidden or forgotten stays so. Raises KeepsChanging, DatabaseAway,
    StatementFailed.
    """
    for _ in range(ATTEMPTS):
        try:
            made = await _fold_stored(connection, user_id)
            if made is None:
                return None
            for _ in range(ATTEMPTS):
                if (rebuilt := await _store(connection, user_id, made, max_tasks)) is not None:
                    return rebuilt
                if (state := await select_projection_state(connection, user_id)) is None:
                    return None
                await _fold_up_to(connection, user_id, made, state.seq)
        except _StreamChanged:
            continue
    raise KeepsChanging(f"The stream of user {user_id} changes faster than it is read.")


async def _fold_stored(connection: DatabaseConnection, user_id: UUID) -> _Fold | None:
    """Fold the stored events as far as the stored tasks hold."""
    async with _transaction(connection, "ISOLATION LEVEL REPEATABLE READ READ ONLY"):
        state = await select_projection_state(connection, user_id)
        stored = await select_all_tasks(connection, user_id)
    if state is None:
        return None
    made = _Fold(state.epoch, state.oldest_seq, state.oldest_seq - 1)
    bases = {task_id: base_of(known.task, state.oldest_seq) for task_id, known in stored.items()}
    made.tasks = {task_id: base for task_id, base in bases.items() if base is not None}
    await _fold_up_to(connection, user_id, made, state.seq)
    for task_id in {**stored, **made.tasks}:
        known = stored[task_id].task if task_id in stored else None
        task = completed(known, made.tasks.pop(task_id, None), state.oldest_seq)
        if task is not None:
            made.tasks[task_id] = task
    return made


async def _fold_up_to(connection: DatabaseConnection, user_id: UUID, made: _Fold, seq: int) -> None:
    """Fold the events after those that are folded. Raises _StreamChanged."""
    while made.seq < seq:
        page = await select_unfolded(
            connection,
            {user_id: made.seq},
            {user_id: made.epoch},
            max_events=min(PAGE_EVENTS, seq - made.seq),
            max_bytes=PAGE_BYTES,
        )
        events = page.get(user_id, [])
        if not events or events[0].seq != made.seq + 1:
            raise _StreamChanged
        _add(made, events)
        await trio.lowlevel.checkpoint()


def _add(made: _Fold, events: list[Event]) -> None:
    histories: dict[str, list[Segment]] = {}
    add_to_tasks(histories, events)
    for task_id, segments in histories.items():
        task = fold(made.tasks.get(task_id), task_id, segments)
        if task is not None:
            made.tasks[task_id] = task
    made.seq = events[-1].seq


async def _store(
    connection: DatabaseConnection, user_id: UUID, made: _Fold, max_tasks: int
) -> Rebuilt | None:
    """Store what differs; None if there is too much to fold first. Raises _StreamChanged."""
    async with _transaction(connection):
        state = await select_projection_state(connection, user_id, lock=True)
        if state is None:
            return Rebuilt(0, 0)
        if state.epoch != made.epoch or state.seq < made.seq:
            raise _StreamChanged
        if state.seq - made.seq > LOCKED_EVENTS:
            return None
        await _fold_up_to(connection, user_id, made, state.seq)
        stored = await select_all_tasks(connection, user_id)
        return await _write(connection, user_id, state, stored, made, max_tasks)


async def _write(
    connection: DatabaseConnection,
    user_id: UUID,
    state: ProjectionState,
    stored: dict[str, StoredTask],
    made: _Fold,
    max_tasks: int,
) -> Rebuilt:
    marks = {task_id for task_id, known in stored.items() if known.task.forgotten}
    tasks = {task_id: task for task_id, task in made.tasks.items() if task_id not in marks}
    kept = _within(max_tasks, stored, tasks)
    unknown = set(stored) - marks - set(tasks)
    changed = [
        tasks[task_id]
        for task_id in kept
        if task_id not in stored or stored[task_id].task != tasks[task_id]
    ]
    if unknown:
        await delete_stored_tasks(connection, user_id, list(unknown))
    if unknown or changed:
        await recount_tasks(connection, user_id)
        added = len([task for task in changed if task.task_id not in stored])
        advance = Advance(state.revision, state.seq, added=added, tasks=changed)
        await write_advances(connection, {user_id: advance}, max_tasks=max_tasks)
    return Rebuilt(len(kept), len(changed) + len(unknown))


def _within(most: int, stored: dict[str, StoredTask], made: dict[str, FoldedTask]) -> set[str]:
    """The ids of the tasks to keep: those that are stored, and new ones as far as the bound allows.

    The order is that of the bound: those that ended first go first, then those silent longest.
    """
    if len(made) <= most:
        return set(made)

    def order(task: FoldedTask) -> tuple[bool, float, float, str]:
        heard_at = task.last_at.timestamp()
        if task.task_id in stored:
            heard_at = max(heard_at, stored[task.task_id].heard_at)
        ended_at = task.ended_at.timestamp() if task.ended_at is not None else 0.0
        return task.ended_at is None, ended_at, heard_at, task.task_id

    latest = {task.task_id for task in sorted(made.values(), key=order)[-most:]}
    return latest | (set(made) & set(stored))


@asynccontextmanager
async def _transaction(connection: DatabaseConnection, kind: str = "") -> AsyncIterator[None]:
    """A transaction for the length of the block; an exception undoes it."""
    await connection.execute(f"BEGIN {kind}")
    try:
        yield
    except BaseException:
        with trio.CancelScope(shield=True):
            await connection.execute("ROLLBACK")
        raise
    await connection.execute("COMMIT")
