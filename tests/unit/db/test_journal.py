"""When the journal begins a commit, on a database that answers at once or waits."""

from typing import Any
from uuid import UUID, uuid4

import pytest
import trio
import trio.testing

from relay.db.journal import LARGE_COMMIT_EVENTS, Journal
from relay.events import NewEvent, utc_now

PASSES = 3  # of the scheduler: to queue the request, to start its commit's task, to send it


class FakeDatabase:
    """Notes of how many requests each commit is, and lets them end when it may."""

    def __init__(self) -> None:
        self.commits: list[int] = []
        self.may_end = trio.Event()
        self.may_end.set()

    async def keep_pinned(self, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await trio.sleep_forever()

    async def fetch_pinned(self, _sql: str, *args: Any, to_end: bool) -> list[tuple[Any, ...]]:
        requests = len(args[0]) if isinstance(args[0], list) else 1
        self.commits.append(requests)
        await self.may_end.wait()
        return [("epoch", 1, None, None)] * requests


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase()


@pytest.fixture
async def journal(database: FakeDatabase, nursery: trio.Nursery) -> Journal:
    bounds = {"queue_events": 10_000, "queue_bytes": 2**20, "readers": 1, "timeout": 60}
    opened = Journal(database, lambda *_: None, lambda *_: None, **bounds)  # type: ignore[arg-type]
    await nursery.start(opened.run)
    return opened


def event() -> NewEvent:
    return NewEvent(
        id=str(uuid4()),
        event_type="log",
        task_id=None,
        ts="2026-01-31T12:00:00Z",
        payload="{}",
        received_at=utc_now(),
    )


async def append(journal: Journal, user_id: UUID, events: int = 1) -> None:
    await journal.append(user_id, [event() for _ in range(events)])


async def several_passes() -> None:
    for _ in range(PASSES + 1):  # this task may be the first one of each pass
        await trio.lowlevel.checkpoint()


async def test_a_commit_after_a_shared_one_begins_without_a_wasted_pass(
    database: FakeDatabase, journal: Journal, nursery: trio.Nursery
) -> None:
    for _ in range(3):  # the first alone, the others together
        nursery.start_soon(append, journal, uuid4())
    await trio.testing.wait_all_tasks_blocked()
    assert database.commits == [1, 2]
    nursery.start_soon(append, journal, uuid4())
    await several_passes()
    assert database.commits == [1, 2, 1]


async def test_a_commit_beside_a_large_one_begins_without_a_wasted_pass(
    database: FakeDatabase, journal: Journal, nursery: trio.Nursery
) -> None:
    database.may_end = trio.Event()
    nursery.start_soon(append, journal, uuid4(), LARGE_COMMIT_EVENTS)
    await trio.testing.wait_all_tasks_blocked()
    nursery.start_soon(append, journal, uuid4())
    await several_passes()
    assert database.commits == [1, 1]
    database.may_end.set()
