"""Measure what tasks and events take on disk, and what a page of tasks takes to read.

    python -m bench.stored_sizes [--tasks 10000]

One user's tasks are stored in an embedded Postgres as Relay stores them, with event ids as Relay
makes them. Each has a start with a title and a lease, three log lines, a report of progress with
two metrics, and an end. Then each has a second run: its row is updated in place, and vacuum cleans
up.
Sizes are with indexes.
"""

import argparse
import json
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import UUID, uuid4

import trio
import uuid_utils

from relay.db.embedded import running_postgres
from relay.db.journal import Journal
from relay.db.pool import Database, open_database
from relay.db.shown_tasks import StoredTaskFilter
from relay.db.source import bring_up_to_date
from relay.db.task_pages import SnapshotPart, select_snapshot, select_task_page
from relay.events import NewEvent, utc_now
from relay.projection.projector import Projector

TIMEOUT_SECONDS = 60.0
BATCH_EVENTS = 600
PAGES = 20  # read, of which the fastest counts


def run_of(task_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The types and payloads of one run."""
    yield "task_started", {"title": f"make test of {task_id}", "lease_s": 90}
    for number in range(3):
        yield "log", {"message": f"step {number}: compiling the module of {task_id}"}
    yield "task_progress", {"progress": 0.5, "metrics": {"loss": 0.31, "accuracy": 0.87}}
    yield "task_succeeded", {"message": "all passed", "exit_code": 0, "duration_s": 12.5}


def new_events(tasks: int) -> list[NewEvent]:
    """One run of each task, one task after the other."""
    at = utc_now()
    return [
        NewEvent(
            *(str(uuid_utils.uuid7()), event_type, f"build-{number}", "2026-01-31T12:00:00Z"),
            *(json.dumps(payload, separators=(",", ":")), at),
        )
        for number in range(tasks)
        for event_type, payload in run_of(f"build-{number}")
    ]


async def store(journal: Journal, projector: Projector, user_id: UUID, tasks: int) -> int:
    """Store one run of each task, and wait until it is folded; returns the number of events."""
    events = new_events(tasks)
    seq = 0
    for start in range(0, len(events), BATCH_EVENTS):
        receipts = await journal.append(user_id, events[start : start + BATCH_EVENTS])
        seq = receipts[-1].seq
    await projector.catch_up(user_id, seq)
    return len(events)


async def size_of(database: Database, table: str) -> int:
    await database.execute(f"VACUUM {table}")
    size: int = await database.fetchval(f"SELECT pg_total_relation_size('{table}')")
    return size


async def best_of_pages(database: Database, user_id: UUID) -> tuple[float, float]:
    """Milliseconds that a page of 100 tasks takes, and a stream's snapshot."""
    page = partial(select_task_page, database, user_id, StoredTaskFilter(), 100)
    snapshot = partial(select_snapshot, database, user_id, SnapshotPart())
    return await best_of(page), await best_of(snapshot)


async def best_of(read: Callable[[], Awaitable[Any]]) -> float:
    """Milliseconds that it takes at best."""
    best = float("inf")
    for _ in range(PAGES):
        started = perf_counter()
        await read()
        best = min(best, (perf_counter() - started) * 1e3)
    return best


async def measure(tasks: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with running_postgres(Path(folder) / "data") as server:
            await bring_up_to_date(server.dsn, apply=True, timeout=TIMEOUT_SECONDS)
            async with open_database(
                server.dsn, connections=4, timeout=TIMEOUT_SECONDS
            ) as database:
                await measure_in(database, tasks)


async def measure_in(database: Database, tasks: int) -> None:
    user_id = uuid4()
    await database.execute("INSERT INTO users (user_id, epoch) VALUES ($1, 'e')", user_id)
    projector = Projector(database, max_tasks=tasks)
    journal = Journal(
        database,
        projector.offer,
        lambda user, _seq: projector.recheck(user),
        queue_events=10 * BATCH_EVENTS,
        queue_bytes=2**26,
        readers=2,
        timeout=TIMEOUT_SECONDS,
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        nursery.start_soon(projector.run)
        events = 0
        heads = ("B an event", "payload", "B a task", "page, ms", "snapshot")
        print(" " * 16 + "".join(f"{head:>12}" for head in heads))
        for name in ("first runs", "second runs"):
            events += await store(journal, projector, user_id, tasks)
            payload = await database.fetchval("SELECT avg(octet_length(payload)) FROM events")
            of_events, of_tasks = [await size_of(database, table) for table in ("events", "tasks")]
            page, snapshot = await best_of_pages(database, user_id)
            print(
                f"{name:16}{of_events / events:12.0f}{float(payload):12.0f}"
                f"{of_tasks / tasks:12.0f}{page:12.1f}{snapshot:12.1f}"
            )
        nursery.cancel_scope.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(description="What tasks and events take on disk.")
    parser.add_argument("--tasks", type=int, default=10_000)
    trio.run(measure, parser.parse_args().tasks)


if __name__ == "__main__":
    main()
