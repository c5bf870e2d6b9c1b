"""sql/schema.sql is exactly the schema that the migrations make."""

from pathlib import Path

from relay.db.pool import connect
from relay.db.source import bring_up_to_date
from tests.support.patience import PATIENCE
from tests.support.schema import dump_schema

COMMITTED = Path(__file__).parents[3] / "sql" / "schema.sql"


async def test_the_committed_schema_is_what_the_migrations_give(database_url: str) -> None:
    assert await dump_schema(database_url) == COMMITTED.read_text(), "run `make schema`"


async def test_the_committed_schema_makes_the_same_database(
    database_url: str, empty_database_url: str
) -> None:
    async with connect(empty_database_url, timeout=PATIENCE) as connection:
        await connection.execute(COMMITTED.read_text())
    assert await dump_schema(empty_database_url) == await dump_schema(database_url)


async def test_a_database_made_from_the_schema_needs_no_migration(empty_database_url: str) -> None:
    async with connect(empty_database_url, timeout=PATIENCE) as connection:
        await connection.execute(COMMITTED.read_text())
    assert await bring_up_to_date(empty_database_url, apply=False, timeout=PATIENCE) == []
    assert await bring_up_to_date(empty_database_url, apply=True, timeout=PATIENCE) == []
