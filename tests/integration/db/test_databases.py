"""What each test gets is a database as new, whatever the last one did with it."""

import asyncio

import asyncpg
import pytest

from tests.support.databases import FEW_ROWS, Databases
from tests.support.patience import PATIENCE

USERS = """
INSERT INTO users (user_id, epoch) SELECT gen_random_uuid(), 'e' FROM generate_series(1, {})
"""
AUDITED = """
INSERT INTO audit_log (user_id, action) VALUES (gen_random_uuid(), 'x') RETURNING audit_id
"""

PAGES = "SELECT pg_relation_size('users')"


def run(address: str, *statements: str) -> object:
    """The value of the last of them."""

    async def connected() -> object:
        connection = await asyncpg.connect(address)
        try:
            return [await connection.fetchval(statement) for statement in statements][-1]
        finally:
            await connection.close()

    return asyncio.run(connected())


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database serves the next test, however late Postgres sees that nothing is connected."""
    monkeypatch.setattr("tests.support.databases.LEFT_WITHIN", PATIENCE)


@pytest.mark.parametrize("rows", [3, FEW_ROWS + 1])
def test_rows_are_gone_for_the_next_test_which_gets_the_same_database(
    databases: Databases, rows: int
) -> None:
    with databases.migrated() as first:
        run(first, USERS.format(rows), AUDITED)
    with databases.migrated() as second:
        assert second == first
        assert run(second, "SELECT count(*) FROM users") == 0
        assert run(second, AUDITED) == 1


def test_many_rows_leave_no_page_for_the_next_test(databases: Databases) -> None:
    with databases.migrated() as first:
        run(first, USERS.format(FEW_ROWS + 1))
        assert run(first, PAGES) != 0
    with databases.migrated() as second:
        assert second == first
        assert run(second, PAGES) == 0


def test_a_database_that_was_emptied_often_serves_the_next_test(databases: Databases) -> None:
    """What emptying and Postgres' own housekeeping write into its catalogue is no change."""
    with databases.migrated() as first:
        run(first, USERS.format(FEW_ROWS + 1), "VACUUM (FREEZE, ANALYZE)")
    for _ in range(2):
        with databases.migrated() as again:
            assert again == first
            run(again, USERS.format(FEW_ROWS + 1))


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE users RENAME COLUMN created_at TO elsewhere",
        "ALTER TABLE users RENAME TO people",
        "ALTER TABLE events SET (autovacuum_enabled = off)",
        "CREATE TABLE other ()",
        "DROP TABLE tickets",
        "DROP FUNCTION event_bytes(text)",
        "DELETE FROM schema_migrations",
        "GRANT SELECT ON users TO public",
    ],
)
def test_a_database_that_was_changed_serves_no_other_test(
    databases: Databases, statement: str
) -> None:
    with databases.migrated() as first:
        run(first, statement)
    with databases.migrated() as second:
        assert second != first
        assert run(second, "SELECT count(*) FROM users") == 0


def test_a_database_with_a_setting_of_its_own_serves_no_other_test(databases: Databases) -> None:
    with databases.migrated() as first:
        name = run(first, "SELECT current_database()")
        run(first, f"ALTER DATABASE {name} CONNECTION LIMIT 9")
    with databases.migrated() as second:
        assert second != first


def test_a_connection_that_has_just_been_dropped_is_waited_for(databases: Databases) -> None:
    """As Relay drops its own at its end: Postgres has yet to see that."""

    async def dropped(address: str) -> None:
        for connection in [await asyncpg.connect(address) for _ in range(8)]:
            connection.terminate()

    with databases.migrated() as first:
        asyncio.run(dropped(first))
    with databases.migrated() as second:
        assert second == first


def test_a_database_still_in_use_serves_no_other_test(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.databases.LEFT_WITHIN", 0.1)

    async def left_open(address: str) -> asyncpg.Connection:
        return await asyncpg.connect(address)

    with asyncio.Runner() as runner:
        with databases.migrated() as first:
            connection = runner.run(left_open(first))
        with databases.migrated() as second:
            assert second != first
        connection.terminate()
