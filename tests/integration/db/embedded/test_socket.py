"""The socket is found whatever the path of the data folder: odd, long, or left behind."""

# ruff: noqa: ASYNC240 - a look at a small file delays nothing here

import secrets
import tempfile
from pathlib import Path

import pytest

from tests.support.embedded import running_postgres, sql


async def test_a_path_with_odd_characters_works(open_folder: Path) -> None:
    folder = open_folder.with_name('it\'s a "quoted" & ünïcode %20 name')
    async with running_postgres(folder) as postgres:
        assert await sql(postgres.dsn, "select 1") == "1"
        assert Path(postgres.host).is_relative_to(folder)


@pytest.mark.parametrize("name", ["long" * 25, "a list, to libpq"])
async def test_a_path_too_long_for_a_socket_works(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    async with running_postgres(folder) as postgres:
        assert await sql(postgres.dsn, "select 1") == "1"
        away = Path(postgres.host)
        assert away.parent == Path(tempfile.gettempdir())
        assert away.stat().st_mode & 0o777 == 0o700
        assert (folder / "socket").read_text().strip() == str(away)
    assert not away.exists()
    assert not (folder / "socket").exists()


async def test_where_the_temporary_folder_is_too_deep_as_well_the_socket_is_in_tmp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, deep = tmp_path / ("long" * 25), tmp_path / ("deep" * 25)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    async with running_postgres(folder) as postgres:
        assert await sql(postgres.dsn, "select 1") == "1"
        away = Path(postgres.host)
        assert away.parent == Path("/tmp")
    assert not away.exists()
    assert list(deep.iterdir()) == []


async def test_a_socket_folder_left_behind_is_removed_by_the_next_run(folder: Path) -> None:
    away = Path(tempfile.gettempdir(), f"relay-{secrets.token_hex(8)}")
    away.mkdir(mode=0o700)
    (away / ".s.PGSQL.5432").touch()
    (folder / "socket").write_text(f"{away}\n")
    async with running_postgres(folder):
        assert not away.exists()
        assert not (folder / "socket").exists()
