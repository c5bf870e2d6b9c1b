"""The account that Postgres runs as: root's namespace, a system account, a normal user."""

# ruff: noqa: ASYNC240 - a look at a small file delays nothing here

import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from relay.db.embedded import Account, EmbeddedError, launcher
from relay.db.embedded.programs import find_binaries
from tests.support.embedded import as_root, nothing_left, relay_process, running_postgres, sql
from tests.support.programs import lacking


def owners(folder: Path) -> set[int]:
    """Whose files are in it. Postgres makes some for a moment, and removes them."""
    found = set()
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            found.add(path.stat().st_uid)
    return found


@as_root
async def test_as_root_it_runs_in_a_user_namespace_with_files_of_root(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    folder = tmp_path / "data"
    async with running_postgres(folder) as postgres:
        assert await sql(postgres.dsn, "select 1") == "1"
        status = Path(f"/proc/{postgres.pid}/status").read_text()
        assert "CapEff:\t0000000000000000" in status
        assert Path(f"/proc/{postgres.pid}/uid_map").read_text().split()[1:] == ["0", "1"]
        assert owners(folder) == {0}
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def _open_to_others(program: Path) -> bool:
    """Whether every user of this machine may run it, which a umask or a home may forbid."""
    return all(path.stat().st_mode & 0o001 for path in (program, *program.parents))


@pytest.fixture
def open_programs() -> None:
    """Postgres's programs, which other users may run."""
    if not _open_to_others(find_binaries() / "postgres"):
        lacking("other users may not run the Postgres of this checkout's environment")


@as_root
@pytest.mark.usefixtures("open_programs")
async def test_as_root_without_namespaces_it_runs_as_a_system_account(open_folder: Path) -> None:
    unprivileged = Account.system_account("nobody")
    no_namespaces = Account("a user namespace", "map:-1:-1", 0, 0)  # the kernel refuses it
    async with running_postgres(open_folder, accounts=[no_namespaces, unprivileged]) as postgres:
        await sql(postgres.dsn, "create table kept as select 'still here' as text")
        assert os.stat(f"/proc/{postgres.pid}").st_uid == unprivileged.uid
        assert (open_folder / "postgres").stat().st_uid == unprivileged.uid
        assert (open_folder / "postgres.password").stat().st_uid == 0
        assert open_folder.stat().st_mode & 0o777 == 0o710
    assert nothing_left(open_folder)
    async with running_postgres(open_folder) as postgres:  # namespaces are back
        assert await sql(postgres.dsn, "select text from kept") == "still here"
        assert owners(open_folder) == {0}


@as_root
async def test_as_root_without_a_usable_account_the_error_explains_what_to_do(
    tmp_path: Path,
) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(EmbeddedError, match=r"nobody: .*Permission denied.*DATABASE_URL"):
        async with running_postgres(tmp_path / "data", accounts=[Account.system_account("nobody")]):
            pass
    assert tmp_path.stat().st_mode & 0o777 == 0o700


@as_root
async def test_a_normal_user_needs_no_help(new_folder: Path) -> None:
    # Inside a user namespace root's own files belong to a normal user, which is what is wanted.
    async with relay_process(new_folder, *_as_normal_user()) as (_, line):
        pid, euid, dsn = line.split()
        assert int(euid) != 0
        assert await sql(dsn, "select 1") == "1"
        assert os.readlink(f"/proc/{pid}/ns/user") != os.readlink("/proc/self/ns/user")


@as_root
async def test_a_normal_user_gets_an_error_for_an_unwritable_folder(new_folder: Path) -> None:
    new_folder.mkdir(mode=0o500)
    async with relay_process(new_folder, *_as_normal_user()) as (_, line):
        assert line == f"data folder {new_folder} is not writable: Permission denied"


def _as_normal_user() -> list[str]:
    return [
        *(sys.executable, "-IS", launcher.__file__, str(os.getpid())),
        Account.mapped_user().identity,
    ]
