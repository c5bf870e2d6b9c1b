"""Migrations: applied in order and once; an inconsistency stops before anything changes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from relay.db.migrate import MigrationError, applied_migrations, load_migrations, migrate
from relay.db.pool import DatabaseConnection, connect
from tests.support.commands import RELAY, complaints, environment, relay, running
from tests.support.patience import PATIENCE

TABLE = "CREATE TABLE one (id integer PRIMARY KEY);"
ROW = "INSERT INTO one VALUES (1);"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Migrations of the test's own; the second needs the first, and neither can run twice."""
    place = tmp_path / "sql"
    place.mkdir()
    (place / "0001_table.sql").write_text(TABLE)
    (place / "0002_row.sql").write_text(ROW)
    (place / "schema.sql").write_text("this is no migration")
    return place


@asynccontextmanager
async def session(url: str) -> AsyncIterator[DatabaseConnection]:
    async with connect(url, timeout=PATIENCE) as connection:
        yield connection


async def apply(url: str, folder: Path) -> list[str]:
    """Migrate on a connection of its own; returns the files that were applied now."""
    async with session(url) as connection:
        return [one.file for one in await migrate(connection, load_migrations(folder))]


async def rows(url: str) -> list[int]:
    async with session(url) as connection:
        return [row["id"] for row in await connection.fetch("SELECT id FROM one ORDER BY id")]


async def recorded(url: str) -> list[str]:
    async with session(url) as connection:
        return [one.name for one in await applied_migrations(connection)]


async def test_migrations_are_applied_in_order_and_once(
    empty_database_url: str, folder: Path
) -> None:
    assert await recorded(empty_database_url) == []
    assert await apply(empty_database_url, folder) == ["0001_table.sql", "0002_row.sql"]
    assert await apply(empty_database_url, folder) == []
    assert await rows(empty_database_url) == [1]
    assert await recorded(empty_database_url) == ["table", "row"]


async def test_a_new_file_is_applied_to_a_database_that_has_the_others(
    empty_database_url: str, folder: Path
) -> None:
    await apply(empty_database_url, folder)
    (folder / "0003_another.sql").write_text("INSERT INTO one VALUES (2);")
    assert await apply(empty_database_url, folder) == ["0003_another.sql"]
    assert await rows(empty_database_url) == [1, 2]


async def test_several_at_once_migrate_once(empty_database_url: str, folder: Path) -> None:
    (folder / "0002_row.sql").write_text(f"SELECT pg_sleep(0.2); {ROW}")
    done: list[str] = []

    async def one_of_them() -> None:
        done.extend(await apply(empty_database_url, folder))

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(one_of_them)
    assert done == ["0001_table.sql", "0002_row.sql"]
    assert await rows(empty_database_url) == [1]


async def test_an_applied_file_that_changed_is_refused_by_name(
    empty_database_url: str, folder: Path
) -> None:
    await apply(empty_database_url, folder)
    (folder / "0001_table.sql").write_text(TABLE + " -- a word more")
    (folder / "0003_another.sql").write_text("INSERT INTO one VALUES (2);")
    with pytest.raises(MigrationError, match=r"0001_table\.sql is not what was applied"):
        await apply(empty_database_url, folder)
    assert await rows(empty_database_url) == [1]


@pytest.mark.parametrize(
    "broken",
    ["INSERT INTO one VALUES (7); SELECT 1/0;", "INSERT INTO one VALUES (7); SELEKT;"],
    ids=["half-way", "syntax"],
)
async def test_a_file_that_fails_changes_nothing_and_is_named(
    empty_database_url: str, folder: Path, broken: str
) -> None:
    (folder / "0003_broken.sql").write_text(broken)
    with pytest.raises(MigrationError, match=r"0003_broken\.sql failed, nothing changed: "):
        await apply(empty_database_url, folder)
    assert await recorded(empty_database_url) == ["table", "row"]
    assert await rows(empty_database_url) == [1]
    # nothing waits for the one that failed: its lock went with it
    (folder / "0003_broken.sql").write_text("INSERT INTO one VALUES (8);")
    with trio.fail_after(PATIENCE):
        assert await apply(empty_database_url, folder) == ["0003_broken.sql"]
    assert await rows(empty_database_url) == [1, 8]


async def test_a_database_of_a_newer_relay_is_refused(
    empty_database_url: str, folder: Path
) -> None:
    (folder / "0003_newer.sql").write_text("INSERT INTO one VALUES (2);")
    await apply(empty_database_url, folder)
    (folder / "0003_newer.sql").unlink()
    with pytest.raises(MigrationError, match="version 3 by a newer Relay; this one knows 2"):
        await apply(empty_database_url, folder)


@pytest.mark.parametrize(
    "names",
    [
        ("0001_a.sql", "0003_c.sql"),
        ("0002_b.sql",),
        ("0001_a.sql", "0001_b.sql"),
        ("0000_a.sql", "0001_b.sql"),
        ("notes.txt",),
        (),
    ],
    ids=["gap", "no first", "doubled", "from zero", "no migration", "empty"],
)
def test_files_that_are_not_numbered_without_gaps_are_refused(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1;")
    with pytest.raises(MigrationError, match="not numbered 0001, 0002, …"):
        load_migrations(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match="nowhere"):
        load_migrations(tmp_path / "nowhere")


async def test_the_command_shows_what_is_pending_applies_it_and_shows_it_as_applied(
    empty_database_url: str, tmp_path: Path
) -> None:
    env = environment(empty_database_url)
    status = await relay(tmp_path, "migrate", "--status", env=env)
    assert status.returncode == 3
    assert b"pending" in status.stdout
    assert b"0001_" in status.stdout

    first = await relay(tmp_path, "migrate", env=env)
    assert (first.returncode, complaints(first.stderr)) == (0, [])
    assert b"applied 0001_" in first.stdout
    again = await relay(tmp_path, "migrate", env=env)
    assert (again.returncode, b"applied now: 0" in again.stdout) == (0, True)

    status = await relay(tmp_path, "migrate", "--status", env=env)
    assert (status.returncode, b"pending" in status.stdout) == (0, False)
    assert b"applied  " in status.stdout


async def test_with_auto_migrate_off_nothing_is_served_before_migrate(
    empty_database_url: str, tmp_path: Path
) -> None:
    env = environment(empty_database_url, RELAY_AUTO_MIGRATE="off")
    serve = ("serve", "--bind", "127.0.0.1:0")
    refused = await relay(tmp_path, *serve, env=env)
    assert refused.returncode == 1
    (line,) = complaints(refused.stderr)
    assert "RELAY_AUTO_MIGRATE" in line
    assert "relay migrate" in line
    assert b"listens" not in refused.stdout
    async with session(empty_database_url) as connection:
        assert await applied_migrations(connection) == []

    assert (await relay(tmp_path, "migrate", env=env)).returncode == 0
    async with running((*RELAY, *serve), tmp_path, env) as server:
        await server.url()


async def test_processes_that_start_at_once_on_an_empty_database_all_serve(
    empty_database_url: str, tmp_path: Path
) -> None:
    env = environment(empty_database_url)

    async def starts(number: int) -> None:
        place = tmp_path / str(number)
        place.mkdir()
        async with running((*RELAY, "serve", "--bind", "127.0.0.1:0"), place, env) as server:
            await server.url()

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(starts, number)
    assert await recorded(empty_database_url) == [
        migration.name for migration in load_migrations(Path(__file__).parents[3] / "sql")
    ]
