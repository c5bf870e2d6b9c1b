"""Reads the stored events of one task, page by page, with bounded work for each page."""

from collections.abc import AsyncGenerator
from uuid import UUID

import msgspec
import trio

from relay.db.pages import select_task_events
from relay.db.pool import Database, Row
from relay.db.reader_turns import ReaderTurns
from relay.events import StreamHead
from relay.tasks.fold import task_of_payload
from relay.tasks.task import UNTITLED_PREFIX

SCANNED_EVENTS = 5_000  # in one statement
SCANNED_EVENTS_A_PAGE = 100_000  # by one call, which then answers with what it has
# Payloads of events without a task's id are read for their title, in this process's one thread:
# some 10 ms for a MiB of the dearest.
PARSED_BYTES = 2**18  # without a pause for the other tasks of the process
MAX_PARSED_BYTES = 2**23  # by one call, which then answers with what it has


class TaskEvent(msgspec.Struct, frozen=True):
    """One stored event of a task; `text` is its JSON for readers."""

    seq: int
    event_type: str
    payload: str
    text: bytes


class TaskEventPage(msgspec.Struct, frozen=True):
    """Events of one task, and the seq up to which the stream was looked through."""

    head: StreamHead
    scanned_to: int
    events: list[TaskEvent]


async def read_task_events(
    database: Database,
    turns: ReaderTurns,
    user_id: UUID,
    task_id: str,
    after: int,
    *,
    max_events: int,
    max_bytes: int,
    max_scanned: int = SCANNED_EVENTS_A_PAGE,
) -> TaskEventPage:
    """Read the next events of a task after seq `after`.

    The page may have none and not be the last: then `scanned_to` is below the stream's end. Each of
    its statements waits for its turn. Raises UserGone, DatabaseAway, `NO_TURN`.
    """
    untitled = task_id.startswith(UNTITLED_PREFIX)
    stop_at, parsed = after + max_scanned, 0
    while True:
        async with turns.turn(user_id):
            found = await select_task_events(
                database,
                user_id,
                task_id,
                after,
                untitled=untitled,
                max_scanned=SCANNED_EVENTS,
                max_bytes=max_bytes,
            )
        parsed += sum([len(row["payload"]) for row in found.rows if row["task_id"] is None])
        events = await _of_task(found.rows, task_id)
        if len(events) > max_events:
            return TaskEventPage(found.head, events[max_events - 1].seq, events[:max_events])
        after = found.scanned_to
        is_enough = after >= stop_at or parsed >= MAX_PARSED_BYTES
        if events or after >= found.head.last or is_enough:
            return TaskEventPage(found.head, after, events)
        await trio.lowlevel.checkpoint()


async def _of_task(rows: list[Row], task_id: str) -> list[TaskEvent]:
    """The events of the task among rows that have its id or none."""
    events, parsed = [], 0
    for row in rows:
        if row["task_id"] is None:
            parsed += len(row["payload"])
            if parsed >= PARSED_BYTES:
                parsed = 0
                await trio.lowlevel.checkpoint()
            if task_of_payload(row["payload"]) != task_id:
                continue
        events.append(TaskEvent(row["seq"], row["event_type"], row["payload"], row["text"]))
    return events


async def each_task_event(
    database: Database,
    turns: ReaderTurns,
    user_id: UUID,
    task_id: str,
    first_seq: int,
    last_seq: int,
) -> AsyncGenerator[TaskEvent, None]:
    """The stored events of a task between two seqs, both inclusive."""
    after = first_seq - 1
    while after < last_seq:
        page = await read_task_events(
            database, turns, user_id, task_id, after, max_events=1_000, max_bytes=2**20
        )
        for event in page.events:
            if event.seq > last_seq:
                return
            yield event
        if page.scanned_to == after or page.scanned_to >= page.head.last:
            return
        after = page.scanned_to


class RunBounds(msgspec.Struct, frozen=True):
    """The seqs between which the events of a run are, both inclusive."""

    run: int
    first_seq: int
    last_seq: int


async def run_bounds(
    database: Database, turns: ReaderTurns, user_id: UUID, task_id: str, run: int | None
) -> RunBounds | None:
    """Where the events of a task's run are; the present run if None.

    None if the task is not known, or nothing of the run is stored any more.
    """
    row = await database.fetchrow(
        """
        SELECT t.run, t.first_seq, t.last_seq, u.oldest_seq, u.last_seq AS head
        FROM tasks t JOIN users u ON u.user_id = t.user_id
        WHERE t.user_id = $1 AND t.task_id = $2 AND NOT t.forgotten
        """,
        user_id,
        task_id,
    )
    if row is None:
        return None
    first, last, number = row["first_seq"], row["last_seq"], row["run"]
    if run is not None and run != number:
        starts = [first]
        oldest = row["oldest_seq"]
        async for event in each_task_event(database, turns, user_id, task_id, oldest, first):
            if event.event_type == "task_started" and event.seq < first:
                starts.insert(-1, event.seq)
        later = number - run  # runs after the one that is asked for
        if not 0 < later <= len(starts):
            return None
        first = starts[-1 - later] if later < len(starts) else row["oldest_seq"]
        last, number = starts[-later] - 1, run
    if last < row["oldest_seq"]:
        return None
    return RunBounds(number, max(first, row["oldest_seq"]), last)
