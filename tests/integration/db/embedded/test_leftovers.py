"""What an earlier run left, or another one holds: ended, removed, or named."""

# ruff: noqa: ASYNC240 - a look at a small file delays nothing here

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from relay.db.embedded import EmbeddedError, find_running_dsn, leftovers
from relay.db.embedded.folder import lock_folder
from relay.db.embedded.leftovers import find_processes
from tests.support.embedded import on_linux, orphan, relay_process, running_postgres, sql
from tests.support.patience import PATIENCE, eventually


def test_a_command_beside_a_first_start_is_asked_to_come_again(tmp_path: Path) -> None:
    with (
        lock_folder(tmp_path / "data") as folder,
        pytest.raises(EmbeddedError, match="still starting; try again"),
    ):
        find_running_dsn(folder)


@on_linux
async def test_a_second_relay_is_refused_with_the_holders_pid(folder: Path) -> None:
    async with running_postgres(folder) as postgres:
        async with relay_process(folder) as (_, line):
            assert line == (
                f"data folder {folder} is in use by another Relay (process {os.getpid()})"
            )
        assert await sql(postgres.dsn, "select 1") == "1"
        inherited = set()
        for fd in Path(f"/proc/{postgres.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # that of a client, closed just now
                inherited.add(os.readlink(fd))
        assert inherited
        assert str(folder / "lock") not in inherited


@on_linux
async def test_killing_relay_ends_its_postgres(folder: Path) -> None:
    async with relay_process(folder) as (relay, line):
        pid, _, dsn = line.split()
        assert int(pid) in find_processes(folder / "postgres")
        await sql(dsn, "create table kept as select 'still here' as text")
        relay.send_signal(signal.SIGKILL)
        relay.wait(PATIENCE)
        await eventually(lambda: not find_processes(folder / "postgres"))
    async with running_postgres(folder) as postgres:
        assert await sql(postgres.dsn, "select text from kept") == "still here"


async def test_an_orphaned_postgres_is_shut_down_first(folder: Path) -> None:
    async with orphan(folder) as old, running_postgres(folder) as postgres:
        assert old.wait(PATIENCE) == 0  # the fast shutdown, not force
        assert postgres.pid != old.pid
        assert await sql(postgres.dsn, "select 1") == "1"


async def test_an_orphan_that_does_not_answer_is_killed(folder: Path) -> None:
    async with orphan(folder) as old:
        old.send_signal(signal.SIGSTOP)
        async with running_postgres(folder, stop_timeout=0.2) as postgres:
            assert old.wait(PATIENCE) == -signal.SIGKILL
            assert await sql(postgres.dsn, "select 1") == "1"


@on_linux
async def test_backends_that_outlive_their_server_are_ended(folder: Path) -> None:
    async with orphan(folder) as old:
        (backend, *_) = find_processes(folder / "postgres") - {old.pid}
        os.kill(backend, signal.SIGSTOP)
        old.kill()
        old.wait()
        assert find_processes(folder / "postgres") >= {backend}
        async with running_postgres(folder, stop_timeout=0.2) as postgres:
            assert backend not in find_processes(folder / "postgres")
            assert await sql(postgres.dsn, "select 1") == "1"


async def test_a_stale_pid_file_stops_no_start_and_no_other_process(folder: Path) -> None:
    async with running_postgres(folder):
        stale = (folder / "postgres" / "postmaster.pid").read_text().splitlines()
        lock = (folder / "postgres" / ".s.PGSQL.5432.lock").read_text().splitlines()
    with _stranger(folder / "postgres") as stranger:
        number = str(stranger.pid)
        (folder / "postgres" / "postmaster.pid").write_text("\n".join([number, *stale[1:], ""]))
        (folder / "postgres" / ".s.PGSQL.5432.lock").write_text("\n".join([number, *lock[1:], ""]))
        async with running_postgres(folder) as postgres:
            assert await sql(postgres.dsn, "select 1") == "1"
        assert stranger.poll() is None


@contextmanager
def _stranger(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is no Postgres and works in this folder."""
    with subprocess.Popen(["sleep", "infinity"], cwd=folder) as stranger:
        try:
            yield stranger
        finally:
            stranger.kill()


async def test_without_proc_the_server_is_found_by_its_command(folder: Path) -> None:
    async with running_postgres(folder) as postgres:
        # a child that was forked just now has its command for a moment, too
        await eventually(lambda: leftovers._find_by_command(folder / "postgres") == {postgres.pid})
        assert leftovers._find_by_command(folder / "post") == set()
    assert leftovers._find_by_command(folder / "postgres") == set()
