"""The appending statement, compared with a dictionary model."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from random import Random
from uuid import UUID, uuid4

import pytest
import trio

from relay.db.append import build_statement, record_outcome
from relay.db.append_queue import AppendRequest
from relay.db.pool import Database, DatabaseConnection, connect, open_database
from relay.events import Event, NewEvent, Receipt, utc_now
from tests.support.databases import begin, until_waiting
from tests.support.patience import PATIENCE
from tests.support.projections import count_as_folded

ROUNDS = 40  # of one commit each


class Model:
    """Streams as they must be: of each user the events, and which were trimmed."""

    def __init__(self, users: Sequence[UUID]) -> None:
        self.streams: dict[UUID, list[NewEvent]] = {user_id: [] for user_id in users}
        self.trimmed = dict.fromkeys(users, 0)

    def append(self, user_id: UUID, events: Sequence[NewEvent]) -> list[Receipt]:
        stream = self.streams[user_id]
        receipts = []
        for event in events:
            ids = [each.id for each in stream]
            known = event.id in ids
            if not known:
                stream.append(event)
            seq = ids.index(event.id) + 1 if known else len(stream)
            receipts.append(Receipt(event.id, f"epoch of {user_id}", seq, known))
        return receipts


def some_event(chance: Random, names: int, moment: datetime) -> NewEvent:
    """Named from few names, so that doubles are many; or not named, or with no names at all."""
    named = names > 0 and chance.random() < 0.7
    return NewEvent(
        id=f"name:{chance.randrange(names)}" if named else str(uuid4()),
        event_type=chance.choice(["log", "task_progress"]),
        task_id=chance.choice([None, "build", "-", '"\\']),
        ts="2026-01-31T12:00:00Z",
        payload=chance.choice(["1", '"ä\u2028\\n"', '{"progress":0.5}', '" "', '"\\u0000"']),
        received_at=moment,
        has_generated_id=not named,
    )


def columns(event: NewEvent) -> tuple[object, ...]:
    return event.id, event.event_type, event.task_id, event.ts, event.payload, event.received_at


@pytest.mark.parametrize("names", [0, 5, 200])
@pytest.mark.parametrize("seed", range(3))
async def test_appends_match_a_dictionary_model(database_url: str, seed: int, names: int) -> None:
    chance = Random(seed)
    users = [uuid4() for _ in range(4)]
    gone = uuid4()
    model = Model(users)
    async with open_database(database_url, connections=2, timeout=PATIENCE) as database:
        for user_id in users:
            await database.execute(
                "INSERT INTO users (user_id, epoch) VALUES ($1, $2)", user_id, f"epoch of {user_id}"
            )
        await count_as_folded(database)
        for _ in range(ROUNDS):
            batch = []
            for _ in range(chance.choice([1, 1, 1, 2, 3, 4, 5])):
                moment, size = utc_now(), chance.choice([1, 1, 1, 2, 7, 40])
                events = [some_event(chance, names, moment) for _ in range(size)]
                batch.append(AppendRequest(chance.choice([*users, gone]), events))
            rows = await database.fetch(*build_statement(batch))
            for waiting, row in zip(batch, rows, strict=True):
                fresh: list[Event] = record_outcome(waiting, row)
                if waiting.user_id == gone:
                    assert (waiting.problem is not None, waiting.receipts, fresh) == (True, [], [])
                    continue
                assert waiting.receipts == model.append(waiting.user_id, waiting.events)
                assert [(event.id, event.seq) for event in fresh] == [
                    (receipt.id, receipt.seq)
                    for receipt in waiting.receipts
                    if not receipt.duplicate
                ]
            user_id = chance.choice(users)
            if chance.random() < 0.2:  # its oldest are trimmed, and known for all that
                model.trimmed[user_id] += await database.fetchval(
                    "SELECT trim_stream($1, $2, 1e9::bigint, now() - interval '1 day', 20)",
                    *(user_id, 5),
                )
        for user_id, stream in model.streams.items():
            trimmed = model.trimmed[user_id]
            kept = stream[trimmed:]
            rows = await database.fetch(
                "SELECT seq, event_id, event_type, task_id, ts, payload, received_at"
                " FROM events WHERE user_id = $1 ORDER BY seq",
                user_id,
            )
            assert [tuple(row) for row in rows] == [
                (seq, *columns(event)) for seq, event in enumerate(kept, trimmed + 1)
            ]
            weight = sum(len(event.payload.encode()) + 200 for event in kept)
            found = await database.fetchrow(
                "SELECT last_seq, stored_bytes FROM users WHERE user_id = $1", user_id
            )
            assert found is not None
            assert tuple(found) == (len(stream), weight)


USER = uuid4()
APPEND = f"SELECT append_event('{USER}', true, now(), '{{}}', 'log', NULL, 't', '1')"


@pytest.fixture
async def user_with_a(database_url: str) -> AsyncIterator[tuple[Database, DatabaseConnection]]:
    """A user whose stream has the event `a`, and a second connection."""
    async with (
        open_database(database_url, connections=4, timeout=PATIENCE) as database,
        connect(database_url, timeout=PATIENCE) as holder,
    ):
        await database.execute("INSERT INTO users (user_id, epoch) VALUES ($1, 'e')", USER)
        assert await append(database, "a") == (1, None)
        yield database, holder


async def append(database: Database, name: str) -> tuple[int | None, list[int] | None]:
    """Append an event that its producer named: its new seq, or that of the first one."""
    event = NewEvent(name, "log", None, "t", "1", utc_now(), has_generated_id=False)
    (row,) = await database.fetch(*build_statement([AppendRequest(USER, [event])]))
    assert row["epoch"] == "e"
    return row["first_seq"], row["seqs"]


async def test_a_duplicate_waits_for_no_lock(
    user_with_a: tuple[Database, DatabaseConnection],
) -> None:
    database, holder = user_with_a
    await begin(holder, f"SELECT FROM users WHERE user_id = '{USER}' FOR UPDATE")
    assert await append(database, "a") == (None, [1])
    await holder.execute("ROLLBACK")


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
async def test_events_that_wait_for_another_append_are_looked_for_again(
    user_with_a: tuple[Database, DatabaseConnection], database_url: str, end: str
) -> None:
    database, holder = user_with_a
    found: dict[str, tuple[int | None, list[int] | None]] = {}

    async def append_and_note(name: str) -> None:
        found[name] = await append(database, name)

    async with connect(database_url, timeout=PATIENCE) as watcher, trio.open_nursery() as nursery:
        await begin(holder, APPEND.format("b"))
        nursery.start_soon(append_and_note, "b")
        nursery.start_soon(append_and_note, "c")
        await until_waiting(watcher, 2)
        await holder.execute(end)
    if end == "COMMIT":
        assert found == {"b": (None, [2]), "c": (3, None)}
    else:
        assert sorted(first for first, _ in found.values() if first) == [2, 3]
    stored = await database.fetch("SELECT event_id FROM events WHERE user_id = $1", USER)
    assert sorted(row[0] for row in stored) == ["a", "b", "c"]
