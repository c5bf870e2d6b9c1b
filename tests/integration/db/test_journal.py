"""The journal by itself: group commits, their bounds, and which request a failure fails."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
import trio
import trio.testing

from relay.db import journal
from relay.db.journal import (
    LARGE_COMMIT_EVENTS,
    MAX_CONCURRENT_COMMITS,
    PAGE_BYTES,
    PAGE_EVENTS,
    Journal,
)
from relay.db.pages import EventPage
from relay.db.pool import Database, open_database
from relay.db.task_history import TaskEventPage, read_task_events
from relay.errors import Draining, Internal, Invalid, InvalidToken, JournalFull, Problem
from relay.events import Event, NewEvent, Receipt, utc_now
from tests.support.databases import begin
from tests.support.patience import PATIENCE

USERS = [uuid4() for _ in range(MAX_CONCURRENT_COMMITS + 2)]


class Desk:
    """A journal, what it delivered, and what became of each request."""

    def __init__(self, database: Database, queue_events: int, queue_bytes: int) -> None:
        self.database = database
        self.delivered: list[tuple[UUID, list[int]]] = []
        self.rechecked: list[tuple[UUID, int | None]] = []
        self.outcomes: dict[str, list[Receipt] | Problem] = {}
        self.journal = Journal(
            database,
            self._deliver,
            lambda *recheck: self.rechecked.append(recheck),
            queue_events=queue_events,
            queue_bytes=queue_bytes,
            readers=1,
            timeout=PATIENCE,
        )

    def _deliver(self, user_id: UUID, events: list[Event]) -> None:
        self.delivered.append((user_id, [event.seq for event in events]))

    async def post(self, name: str, user_id: UUID, *events: NewEvent) -> None:
        try:
            self.outcomes[name] = await self.journal.append(user_id, events)
        except Problem as problem:
            self.outcomes[name] = problem


@asynccontextmanager
async def desk(url: str, queue_events: int = 1000, queue_bytes: int = 2**20) -> AsyncIterator[Desk]:
    async with open_database(url, connections=4, timeout=PATIENCE) as database:
        for user_id in USERS:
            await database.execute("INSERT INTO users (user_id, epoch) VALUES ($1, 'e')", user_id)
        here = Desk(database, queue_events, queue_bytes)
        async with trio.open_nursery() as nursery:
            await nursery.start(here.journal.run)
            yield here
            nursery.cancel_scope.cancel()


def event(payload: str = "{}", **fields: Any) -> NewEvent:
    given = {"id": str(uuid4()), "event_type": "log", "ts": "2026-01-31T12:00:00Z", **fields}
    return NewEvent(task_id=None, payload=payload, received_at=utc_now(), **given)


@pytest.mark.parametrize("payload", ["a\x00b", "1\n2", "\ud800"])
async def test_a_value_the_database_refuses_fails_only_its_own_request(
    database_url: str, payload: str
) -> None:
    """The envelope lets none this far; the journal does not rely on that."""
    async with desk(database_url) as here, trio.open_nursery() as nursery:
        nursery.start_soon(here.post, "first", USERS[0], event())
        await trio.testing.wait_all_tasks_blocked()  # its commit is under way, the rest gather
        nursery.start_soon(here.post, "good", USERS[1], event(), event())
        nursery.start_soon(here.post, "bad", USERS[2], event(), event(payload))
        nursery.start_soon(here.post, "same user", USERS[2], event())
        nursery.start_soon(here.post, "good too", USERS[3], event())
    assert isinstance(here.outcomes.pop("bad"), Invalid)
    assert {
        name: [receipt.seq for receipt in outcome] if isinstance(outcome, list) else outcome
        for name, outcome in here.outcomes.items()
    } == {"first": [1], "good": [1, 2], "same user": [1], "good too": [1]}
    assert sorted(seqs for _, seqs in here.delivered) == [[1], [1], [1], [1, 2]]


async def test_requests_waiting_during_a_commit_share_the_next_one(database_url: str) -> None:
    async with desk(database_url) as here, trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(here.post, str(number), USERS[0], event())
    seqs = [seq for _, batch in here.delivered for seq in batch]
    assert seqs == list(range(1, 51))  # handed over in the order of their numbers
    assert len(here.delivered) <= 3  # by few commits
    assert here.journal.waiting_events == here.journal.waiting_bytes == 0


@pytest.mark.parametrize(
    ("bounds", "payload"), [({"queue_events": 3}, "1"), ({"queue_bytes": 30}, "1234567890")]
)
async def test_a_full_queue_refuses_at_once(
    database_url: str, bounds: dict[str, int], payload: str
) -> None:
    async with desk(database_url, **bounds) as here, trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(here.post, str(number), USERS[0], event(payload))
        await trio.testing.wait_all_tasks_blocked()
        refused = [one for one in here.outcomes.values() if isinstance(one, JournalFull)]
        assert len(refused) == 2
    assert here.delivered[-1][1][-1] == 3  # and nothing of them was stored


async def test_a_deleted_user_fails_no_other_request(database_url: str) -> None:
    async with desk(database_url) as here, trio.open_nursery() as nursery:
        nursery.start_soon(here.post, "gone", uuid4(), event())
        nursery.start_soon(here.post, "here", USERS[0], event())
    assert isinstance(here.outcomes["gone"], InvalidToken)
    assert isinstance(here.outcomes["here"], list)


async def test_a_failed_statement_is_a_500_and_the_journal_goes_on(
    database_url: str,
) -> None:
    async with desk(database_url) as here:
        await here.database.execute("ALTER FUNCTION append_event RENAME TO elsewhere")
        await here.post("lost", USERS[0], event())
        assert isinstance(here.outcomes["lost"], Internal)
        await here.database.execute("ALTER FUNCTION elsewhere RENAME TO append_event")
        await here.post("stored", USERS[0], event())
        assert isinstance(here.outcomes["stored"], list)


@asynccontextmanager
async def locked(here: Desk, url: str, *users: UUID) -> AsyncIterator[None]:
    """Another connection holds these users' rows for the length of the block."""
    async with here.database.connection(url, "test", timeout=PATIENCE) as connection:
        these = ",".join(map(str, users))
        await begin(connection, f"SELECT FROM users WHERE user_id = ANY ('{{{these}}}') FOR UPDATE")
        yield


async def test_a_slow_commit_delays_only_its_own_users(database_url: str) -> None:
    async with desk(database_url) as here, trio.open_nursery() as nursery:
        slow, quick = USERS[:2]
        async with locked(here, database_url, slow):
            nursery.start_soon(here.post, "slow", slow, event())
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(here.post, "slow, later", slow, event())
            await here.post("quick", quick, event(), event())
            await here.post("quick again", quick, event())
            assert set(here.outcomes) == {"quick", "quick again"}
    assert [seqs for user_id, seqs in here.delivered if user_id == slow] == [[1], [2]]


async def test_a_large_commit_delays_no_other_user(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "OVERLAP_AFTER_SECONDS", 3600.0)
    async with desk(database_url) as here, trio.open_nursery() as nursery:
        slow, quick = USERS[:2]
        async with locked(here, database_url, slow):
            nursery.start_soon(
                here.post, "large", slow, *[event() for _ in range(LARGE_COMMIT_EVENTS)]
            )
            await trio.testing.wait_all_tasks_blocked()
            await here.post("quick", quick, event())
            assert set(here.outcomes) == {"quick"}


async def test_concurrent_commits_are_bounded(database_url: str) -> None:
    async with desk(database_url) as here, trio.open_nursery() as nursery:
        *slow, quick = USERS
        async with locked(here, database_url, *slow):
            for number, user_id in enumerate(slow):
                nursery.start_soon(here.post, str(number), user_id, event())
                # each in a commit by itself
                await trio.testing.wait_all_tasks_blocked(journal.OVERLAP_AFTER_SECONDS * 2)
            nursery.start_soon(here.post, "quick", quick, event())
            await trio.testing.wait_all_tasks_blocked(journal.OVERLAP_AFTER_SECONDS * 2)
            assert here.outcomes == {}
            assert here.journal.waiting_events == len(USERS)
    assert set(here.outcomes) == {*map(str, range(len(slow))), "quick"}
    assert here.journal.waiting_events == 0


async def test_a_started_commit_is_shielded_from_cancellation(database_url: str) -> None:
    async with desk(database_url) as here:
        async with trio.open_nursery() as nursery, locked(here, database_url, USERS[0]):
            nursery.start_soon(here.post, "begun", USERS[0], event())
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(here.post, "waiting", USERS[0], event())
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert list(here.outcomes) == ["begun"]
        assert here.delivered == [(USERS[0], [1])]
        assert here.journal.waiting_events == here.journal.waiting_bytes == 0
        await here.post("next", USERS[0], event())
        assert here.delivered[1:] == [(USERS[0], [2])]


async def test_readers_are_rechecked_when_a_producer_repeats_events(database_url: str) -> None:
    async with desk(database_url) as here:
        first, second = event(id="a"), event(id="b")
        await here.post("once", USERS[0], first, second)
        assert here.rechecked == []
        await here.post("again", USERS[0], first, event(), second)
        assert here.rechecked == [(USERS[0], 2)]
        assert here.delivered == [(USERS[0], [1, 2]), (USERS[0], [3])]


async def test_the_journal_closes_after_the_last_commit(
    database_url: str,
) -> None:
    async with open_database(database_url, connections=4, timeout=PATIENCE) as database:
        await database.execute("INSERT INTO users (user_id, epoch) VALUES ($1, 'e')", USERS[0])
        here = Desk(database, 1000, 2**20)
        async with trio.open_nursery() as posting, trio.open_nursery() as running:
            await running.start(here.journal.run)
            async with locked(here, database_url, USERS[0]):
                posting.start_soon(here.post, "last", USERS[0], event())
                await trio.testing.wait_all_tasks_blocked()
                here.journal.close()
                await trio.testing.wait_all_tasks_blocked()
                assert running.child_tasks
        assert isinstance(here.outcomes["last"], list)


async def test_concurrent_page_reads_are_bounded_and_fair(database_url: str) -> None:
    """Those of a stream, and those that look through it for one task, which take longer."""
    crowd = 200  # of one user; another user's reader is the next, however many wait
    pages: list[EventPage | TaskEventPage] = []

    async def read(user_id: UUID) -> None:
        pages.append(await here.journal.read(user_id, 0))

    async def read_task() -> None:
        turns, bounds = here.journal.turns, {"max_events": 10, "max_bytes": 2**20}
        pages.append(await read_task_events(here.database, turns, USERS[0], "t", 0, **bounds))

    async with desk(database_url) as here, trio.open_nursery() as nursery:
        await here.post("first", USERS[0], event())
        await here.post("other", USERS[1], event(), event())
        async with here.database.connection(database_url, "test", timeout=PATIENCE) as connection:
            await begin(connection, "LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
            for _ in range(crowd // 2):
                nursery.start_soon(read, USERS[0])
                nursery.start_soon(read_task)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(read, USERS[1])
            await trio.testing.wait_all_tasks_blocked()
            assert here.journal.turns.waiting == crowd
            assert set(await here.journal.heads(USERS)) == set(USERS)
            assert pages == []
    texts = [len(page.texts) if isinstance(page, EventPage) else 1 for page in pages]
    assert texts == [1, 2] + [1] * (crowd - 1)
    assert here.journal.turns.waiting == 0


@pytest.mark.parametrize(
    ("payload", "in_a_page"),
    [('{"n":1}', PAGE_EVENTS), (json.dumps("x" * 60_000), 5), (json.dumps("x" * PAGE_BYTES), 1)],
)
async def test_a_page_is_bounded_in_events_and_bytes(
    database_url: str, payload: str, in_a_page: int
) -> None:
    """Its last event may reach beyond the bound of bytes, so that each page has one."""
    async with desk(database_url, 2 * PAGE_EVENTS, 2**22) as here:
        await here.post("all", USERS[0], *[event(payload) for _ in range(in_a_page + 2)])
        page = await here.journal.read(USERS[0], 0)
        assert (page.first, len(page.texts)) == (1, in_a_page)
        page = await here.journal.read(USERS[0], in_a_page)
        assert (page.first, len(page.texts)) == (in_a_page + 1, min(2, in_a_page))


async def test_a_closed_journal_stores_queued_requests_and_refuses_new_ones(
    database_url: str,
) -> None:
    async with open_database(database_url, connections=4, timeout=PATIENCE) as database:
        await database.execute("INSERT INTO users (user_id, epoch) VALUES ($1, 'e')", USERS[0])
        here = Desk(database, 1000, 2**20)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.post, "first", USERS[0], event())
            nursery.start_soon(here.post, "second", USERS[0], event())
            await trio.testing.wait_all_tasks_blocked()
            here.journal.close()
            with trio.fail_after(PATIENCE):
                await here.journal.run()  # returns by itself
            await here.post("late", USERS[0], event())
    assert isinstance(here.outcomes.pop("late"), Draining)
    stored = [one[0].seq for one in here.outcomes.values() if isinstance(one, list)]
    assert sorted(stored) == [1, 2]
