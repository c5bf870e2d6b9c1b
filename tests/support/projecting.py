"""Processes that store events and fold them, on a database without a server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from random import Random
from uuid import UUID, uuid4

import trio

from relay.db.journal import Journal
from relay.db.outbox import Outbox
from relay.db.pool import Database, open_database
from relay.events import EVENT_TYPES, NewEvent, utc_now
from relay.projection.projector import Projector
from tests.support.patience import PATIENCE

PAYLOADS = [
    *('{"title":"t","progress":0.5}', '{"message":"one\\ntwo"}', '{"exit_code":1}', "{}", "[]"),
    *('{"waiting":true}', '{"metrics":{"loss":0.5}}', '{"progress":1e400}', '{"title":"\\u0000"}'),
]


class Process:
    """What one process has of the journal and the projection."""

    def __init__(self, database: Database, outbox: Outbox | None) -> None:
        self.database = database
        self.projector = Projector(database, max_tasks=1_000, outbox=outbox)
        self.journal = Journal(
            database,
            self.projector.offer,
            lambda user_id, _seq: self.projector.recheck(user_id),
            queue_events=10_000,
            queue_bytes=2**24,
            readers=2,
            timeout=PATIENCE,
        )
        self.folding = trio.CancelScope()

    async def fold_until_cancelled(self) -> None:
        with self.folding:
            await self.projector.run()


@asynccontextmanager
async def process(url: str, outbox: Outbox | None = None) -> AsyncIterator[Process]:
    async with open_database(url, connections=4, timeout=PATIENCE) as database:
        here = Process(database, outbox)
        async with trio.open_nursery() as nursery:
            await nursery.start(here.journal.run)
            nursery.start_soon(here.fold_until_cancelled)
            yield here
            nursery.cancel_scope.cancel()


async def new_users(database: Database, count: int) -> list[UUID]:
    users = [uuid4() for _ in range(count)]
    for user_id in users:
        await database.execute("INSERT INTO users (user_id, epoch) VALUES ($1, 'e')", user_id)
    return users


def new_event(random: Random, received_at: datetime) -> NewEvent:
    return NewEvent(
        str(uuid4()),
        random.choice(EVENT_TYPES),
        random.choice(["a", "b", "c", None]),
        "2026-11-29T10:00:00Z",
        random.choice(PAYLOADS),
        received_at,
    )


async def publish(journal: Journal, user_id: UUID, seed: int, requests: int) -> None:
    random = Random(seed)
    for _ in range(requests):
        at = utc_now()
        events = [new_event(random, at) for _ in range(random.randint(1, 5))]
        await journal.append(user_id, events)
