"""Upgrades and rollbacks as the how-to describes them: a schema newer than the program."""

import shutil
from pathlib import Path

import httpx
import pytest

from relay.db.migrate import load_migrations, migrate
from relay.db.pool import connect
from tests.support.commands import RELAY as COMMAND
from tests.support.commands import complaints, environment, relay, running
from tests.support.patience import PATIENCE
from tests.support.relay_server import Relay

ROOT = Path(__file__).parents[3]
KNOWN = len(load_migrations(ROOT / "sql"))


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """The migrations of a Relay that is one version ahead."""
    folder = tmp_path / "newer"
    shutil.copytree(ROOT / "sql", folder)
    (folder / f"{KNOWN + 1:04}_newer.sql").write_text("CREATE TABLE newer (n integer);")
    return folder


async def upgraded(database_url: str, newer: Path) -> None:
    async with connect(database_url, timeout=PATIENCE) as connection:
        assert len(await migrate(connection, load_migrations(newer))) == 1


async def test_with_a_newer_schema_a_running_process_continues_and_a_start_is_refused(
    database_url: str, newer: Path, tmp_path: Path
) -> None:
    env = environment(database_url, RELAY_BIND="127.0.0.1:0")
    async with running((*COMMAND, "serve"), tmp_path, env) as old:
        url = await old.url()
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as http:
            user = await Relay(url, http).user()
            await user.posted()
            await upgraded(database_url, newer)
            assert (await user.posted())["seq"] == 2
            async with user.sse("?after=oldest") as stream:
                assert [event["seq"] for event in await stream.events(2)] == [1, 2]

        started = await relay(tmp_path, "serve", env=env)
        (line,) = complaints(started.stderr)
        assert started.returncode == 1
        assert f"migrated to version {KNOWN + 1} by a newer Relay; this one knows {KNOWN}" in line

        status = await relay(tmp_path, "migrate", "--status", env=env)
        assert status.returncode == 1
