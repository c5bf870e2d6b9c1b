"""The journal by itself: group commits, their bounds, and whose fault costs whom."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest
import trio
import trio.testing

from relay.db.journal import WRITERS, Journal
from relay.db.pool import Database, open_database
from relay.errors import Internal, Invalid, InvalidToken, JournalFull, Problem
from relay.events import Event, NewEvent, Receipt, utc_now

# users of one writer, so that what is posted while it commits goes into one commit
SAME_WRITER = [UUID(int=uuid4().int // WRITERS * WRITERS) for _ in range(5)]


class Desk:
    """A journal, what it delivered, and what became of each request."""

    def __init__(self, database: Database, queue_events: int, queue_bytes: int) -> None:
        self.database = database
        self.delivered: list[tuple[UUID, list[int]]] = []
        self.outcomes: dict[str, list[Receipt] | Problem] = {}
        self.journal = Journal(
            database,
            self._deliver,
            lambda _: None,
            queue_events=queue_events,
            queue_bytes=queue_bytes,
            timeout=5,
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
    async with open_database(url, connections=4, timeout=5) as database:
        for user_id in SAME_WRITER:
            await database.execute("INSERT INTO users (user_id, epoch) VALUES ($1, 'e')", user_id)
        here = Desk(database, queue_events, queue_bytes)
        async with trio.open_nursery() as nursery:
            await nursery.start(here.journal.run)
            yield here
            nursery.cancel_scope.cancel()


def event(payload: str = "{}", **fields: str) -> NewEvent:
    given = {"id": str(uuid4()), "event_type": "log", "ts": "2026-01-31T12:00:00Z", **fields}
    return NewEvent(task_id=None, payload=payload, received_at=utc_now(), **given)


async def test_a_value_the_database_refuses_costs_its_own_request_alone(
    database_url: str,
) -> None:
    """The envelope lets none this far; the journal does not rely on that."""
    async with desk(database_url) as here, trio.open_nursery() as nursery:
        nursery.start_soon(here.post, "first", SAME_WRITER[0], event())
        await trio.testing.wait_all_tasks_blocked()  # its commit is under way, the rest gather
        nursery.start_soon(here.post, "good", SAME_WRITER[1], event(), event())
        nursery.start_soon(here.post, "bad", SAME_WRITER[2], event(), event("a\x00b"))
        nursery.start_soon(here.post, "same user", SAME_WRITER[2], event())
        nursery.start_soon(here.post, "good too", SAME_WRITER[3], event())
    assert isinstance(here.outcomes.pop("bad"), Invalid)
    assert {
        name: [receipt.seq for receipt in outcome] if isinstance(outcome, list) else outcome
        for name, outcome in here.outcomes.items()
    } == {"first": [1], "good": [1, 2], "same user": [1], "good too": [1]}
    assert sorted(seqs for _, seqs in here.delivered) == [[1], [1], [1], [1, 2]]


async def test_what_waits_during_a_commit_goes_into_the_next_one(database_url: str) -> None:
    async with desk(database_url) as here, trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(here.post, str(number), SAME_WRITER[0], event())
    seqs = [seq for _, batch in here.delivered for seq in batch]
    assert seqs == list(range(1, 51))  # handed over in the order of their numbers
    assert len(here.delivered) <= 3  # by few commits
    assert here.journal.waiting_events == here.journal.waiting_bytes == 0


@pytest.mark.parametrize(
    ("bounds", "payload"), [({"queue_events": 3}, "1"), ({"queue_bytes": 30}, "1234567890")]
)
async def test_more_than_may_wait_is_refused_at_once(
    database_url: str, bounds: dict[str, int], payload: str
) -> None:
    async with desk(database_url, **bounds) as here, trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(here.post, str(number), SAME_WRITER[0], event(payload))
        with trio.fail_after(1):
            await trio.testing.wait_all_tasks_blocked()
        refused = [one for one in here.outcomes.values() if isinstance(one, JournalFull)]
        assert len(refused) == 2
    assert here.delivered[-1][1][-1] == 3  # and nothing of them was stored


async def test_a_user_who_is_gone_costs_nobody_else(database_url: str) -> None:
    async with desk(database_url) as here, trio.open_nursery() as nursery:
        nursery.start_soon(here.post, "gone", UUID(int=WRITERS), event())
        nursery.start_soon(here.post, "here", SAME_WRITER[0], event())
    assert isinstance(here.outcomes["gone"], InvalidToken)
    assert isinstance(here.outcomes["here"], list)


async def test_a_statement_that_fails_is_our_fault_and_the_journal_goes_on(
    database_url: str,
) -> None:
    async with desk(database_url) as here:
        await here.database.execute("ALTER FUNCTION append_events RENAME TO elsewhere")
        await here.post("lost", SAME_WRITER[0], event())
        assert isinstance(here.outcomes["lost"], Internal)
        await here.database.execute("ALTER FUNCTION elsewhere RENAME TO append_events")
        await here.post("stored", SAME_WRITER[0], event())
        assert isinstance(here.outcomes["stored"], list)
