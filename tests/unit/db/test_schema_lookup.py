"""A flood of probes makes few looks at the schema, and each probe has its answer."""

from datetime import UTC, datetime
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from relay.db.batched_lookup import MAX_CONCURRENT_QUERIES
from relay.db.migrate import AppliedMigration
from relay.db.pool import StatementFailed
from relay.db.schema_lookup import SchemaLookup
from relay.errors import DatabaseAway

PROBES = 100
FIRST = AppliedMigration(1, "first", "checksum", datetime(2026, 1, 31, tzinfo=UTC))
COLUMNS = {name: getattr(FIRST, name) for name in FIRST.__struct_fields__}


class FakeDatabase:
    """Its statements wait for leave; `waiting` is how many do."""

    def __init__(self) -> None:
        self.leave = trio.Event()
        self.waiting = 0
        self.refuses = False

    async def fetch(self, sql: str) -> list[dict[str, Any]]:
        self.waiting += 1
        try:
            await self.leave.wait()
        finally:
            self.waiting -= 1
        if self.refuses:
            raise StatementFailed("permission denied")
        return [COLUMNS if "version" in sql else {"yes": True}]


class Probes:
    """Looks at the schema of `database`, and the answers to `ask`."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.database = FakeDatabase()
        self._lookup = SchemaLookup(self.database)  # type: ignore[arg-type]
        self._nursery = nursery
        self.answers: list[object] = []
        nursery.start_soon(self._lookup.run)

    def ask(self) -> None:
        self._nursery.start_soon(self._one)

    async def _one(self) -> None:
        try:
            self.answers.append(await self._lookup.applied())
        except DatabaseAway as away:
            self.answers.append(away.code)


async def test_probes_that_come_together_share_a_look(
    nursery: trio.Nursery, autojump_clock: object
) -> None:
    probes = Probes(nursery)
    for _ in range(PROBES):
        probes.ask()
        await wait_all_tasks_blocked()
    await trio.sleep(0.1)
    assert probes.database.waiting == MAX_CONCURRENT_QUERIES
    probes.database.leave.set()
    await wait_all_tasks_blocked()
    assert probes.answers == [[FIRST]] * PROBES


async def test_a_database_that_is_silent_is_away_until_it_answers(
    nursery: trio.Nursery, autojump_clock: object
) -> None:
    probes = Probes(nursery)
    probes.ask()
    await trio.sleep(10)
    assert (probes.answers, probes.database.waiting) == (["database_away"], 0)
    probes.database.leave.set()
    probes.ask()
    await wait_all_tasks_blocked()
    assert probes.answers == ["database_away", [FIRST]]


async def test_a_database_that_refuses_the_look_is_not_away(
    nursery: trio.Nursery, autojump_clock: object
) -> None:
    probes = Probes(nursery)
    probes.database.refuses = True
    probes.database.leave.set()
    probes.ask()
    await wait_all_tasks_blocked()
    assert probes.answers == [None]
