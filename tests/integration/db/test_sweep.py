"""What the deletion of expired rows costs, and that no kind of them keeps another from its turn."""

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from relay.background import sweeping
from relay.background.steps import Steps
from relay.background.sweeping import sweep, sweep_steps
from relay.db import expired_rows
from relay.db.expired_rows import ENDED_CREDENTIALS
from relay.db.pool import Database
from relay.errors import DatabaseAway
from tests.support.databases import database_of

TRIMMED = """
INSERT INTO trimmed_events (user_id, event_id, seq, received_at)
SELECT gen_random_uuid(), 'e', 1, now() - interval '25 hours' FROM generate_series(1, $1::integer)
"""
SESSIONS = """
INSERT INTO sessions (session_id, user_id, expires_at)
SELECT gen_random_uuid(), $1, now() + $2 * interval '1 day' FROM generate_series(1, $3::integer)
"""
TOKENS = """
INSERT INTO tokens (token_id, user_id, scopes, expires_at, kid)
SELECT gen_random_uuid(), $1, '{webhook}', now() + $2 * interval '1 day', 'k'
FROM generate_series(1, $3::integer)
"""


class Counting:
    """A database that counts the statements on each table, and does not answer those on `away`."""

    def __init__(self, database: Database, away: str = "") -> None:
        self.deletions = Counter[str]()
        self._database = database
        self._away = away

    async def execute(self, statement: str, *args: object) -> str:
        self._look_at(statement)
        return await self._database.execute(statement, *args)

    async def fetchval(self, statement: str, *args: object) -> Any:
        self._look_at(statement)
        return await self._database.fetchval(statement, *args)

    def _look_at(self, statement: str) -> None:
        table = re.findall(r"DELETE FROM (\w+)", statement)[0]
        if table == self._away:
            raise DatabaseAway()
        self.deletions[table] += 1


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with database_of(database_url) as database:
        yield database


async def deletions(database: Database) -> Counter[str]:
    """How many statements a sweep takes, by table."""
    counting = Counting(database)
    await sweep(cast("Database", counting), audit_days=90)
    return counting.deletions


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node of a plan and all below it."""
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


async def left(database: Database, table: str) -> int:
    return int(await database.fetchval(f"SELECT count(*) FROM {table}"))


async def test_many_rows_of_one_kind_cost_no_statements_on_the_others(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of those read their whole table."""
    monkeypatch.setattr(expired_rows, "SWEEP_BATCH", 2)
    none = await deletions(database)
    await database.execute(TRIMMED, 5)
    assert await deletions(database) - none == Counter(trimmed_events=2)
    assert await left(database, "trimmed_events") == 0


@pytest.mark.parametrize(("table", "insert"), [("tokens", TOKENS), ("sessions", SESSIONS)])
async def test_credentials_are_looked_at_a_part_at_a_time(
    database: Database, monkeypatch: pytest.MonkeyPatch, table: str, insert: str
) -> None:
    for module in (expired_rows, sweeping):
        monkeypatch.setattr(module, "BLOCKS_AT_ONCE", 1)
    none = await deletions(database)
    users = [uuid4() for _ in range(20)]
    for user_id in users:
        await database.execute(insert, user_id, -31, 30)
        await database.execute(insert, user_id, -29, 1)
        await database.execute(insert, user_id, 1, 1)
    blocks = await database.fetchval(f"SELECT pg_relation_size('{table}') / 8192")
    assert blocks > 4
    assert await deletions(database) - none == {table: blocks - 1}
    rows = await database.fetch(f"SELECT user_id FROM {table}")
    assert Counter(row["user_id"] for row in rows) == dict.fromkeys(users, 2)


async def test_a_part_of_the_credentials_is_read_without_the_rest(database: Database) -> None:
    await database.execute(TOKENS, uuid4(), 1, 5_000)
    await database.execute(TOKENS, uuid4(), -31, 100)
    await database.execute("ANALYZE tokens")
    last = await database.fetchval("SELECT pg_relation_size('tokens') / 8192 - 1")
    plan = await database.fetchval(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {ENDED_CREDENTIALS['tokens']}", last, last + 1
    )
    scans = {node["Node Type"]: node for node in nodes(json.loads(plan)[0]["Plan"])}
    assert "Seq Scan" not in scans
    part = scans["Tid Range Scan"]
    assert part["Shared Hit Blocks"] + part["Shared Read Blocks"] == 1


@pytest.mark.parametrize("away", ["processes", "trimmed_events", "tokens", "deleted_users"])
async def test_a_kind_that_fails_leaves_the_others_swept(database: Database, away: str) -> None:
    await database.execute("INSERT INTO processes SELECT gen_random_uuid(), now() - interval '1 h'")
    await database.execute(TRIMMED, 1)
    for insert in (TOKENS, SESSIONS):
        await database.execute(insert, UUID(int=1), -31, 1)
    await database.execute(
        "INSERT INTO deleted_users VALUES (gen_random_uuid(), $1, 1, 0, '', $1)",
        await database.fetchval("SELECT now() - interval '2 days'"),
    )
    steps = sweep_steps(cast("Database", Counting(database, away)), audit_days=90)
    assert not await Steps(steps).run()
    tables = ("processes", "trimmed_events", "tokens", "sessions", "deleted_users")
    assert [table for table in tables if await left(database, table)] == [away]
