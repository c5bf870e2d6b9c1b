"""The disk under the embedded database is full, under load."""

import asyncio
import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest
import trio

from tests.support.ledger import load
from tests.support.relay_process import Program, dsn, running
from tests.support.tmpfs import tmpfs

DISK = 96  # MiB: the made cluster is half of it, and some room
LEFT = 2**18  # bytes that are left when the disk is "full"; the log has a few MiB of its own


@pytest.fixture
def disk(tmp_path: Path, made_data: Path) -> Iterator[Path]:
    """A small disk with a data folder on it."""
    place = tmp_path / "data"
    place.mkdir(mode=0o700)
    with tmpfs(place, f"size={DISK}m,mode=0700"):
        shutil.copytree(made_data, place, symlinks=True, dirs_exist_ok=True)
        yield place


def fill(disk: Path, left: int) -> Path:
    """Take all the space but so much; returns what takes it."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        while (rest := shutil.disk_usage(disk).free - left) > 0:
            try:
                os.posix_fallocate(file.fileno(), 0, rest)
                break
            except OSError as error:  # Postgres has taken a part of it meanwhile
                if error.errno != errno.ENOSPC:
                    raise
    return ballast


async def test_a_full_disk_means_503_and_nothing_acknowledged_is_lost(disk: Path) -> None:
    # no look at the free space: Postgres itself must run into its end
    program = Program(disk.parent, RELAY_MIN_FREE_DISK="0")
    async with running(program), load(program, fill=24_000) as ledger:
        ballast = fill(disk, LEFT)
        await ledger.answers(503)
        ballast.unlink()
        await ledger.answers(200)
    assert not [reader.ends for reader in ledger.readers if reader.ends]


async def test_a_postgres_that_died_of_a_full_disk_comes_back_when_there_is_space(
    disk: Path,
) -> None:
    program = Program(disk.parent, RELAY_MIN_FREE_DISK="0")
    async with running(program), load(program, fill=24_000) as ledger:
        ballast = fill(disk, LEFT)
        # a log that cannot grow ends Postgres, a table that cannot grow does not
        await trio.to_thread.run_sync(asyncio.run, _fill_log(dsn(program)))
        await program.says("postgres_died")
        await ledger.answers(503)
        ballast.unlink()
        await ledger.answers(200)
    assert not [reader.ends for reader in ledger.readers if reader.ends]


async def _fill_log(address: str) -> None:
    """Write to the write-ahead log alone, until Postgres dies of it."""
    connection = await asyncpg.connect(address)
    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        for _ in range(DISK):
            await connection.execute(
                "SELECT pg_logical_emit_message(true, 'fill', repeat('x', 1048576))"
            )
    connection.terminate()


async def test_reserved_disk_space_keeps_postgres_running(disk: Path) -> None:
    program = Program(disk.parent, RELAY_MIN_FREE_DISK=str(16 * 2**20))
    async with running(program), load(program, fill=24_000) as ledger:
        ballast = fill(disk, 8 * 2**20)
        await ledger.answers(503)
        ballast.unlink()
        await ledger.answers(200)
        assert not program.logged("postgres_died")
    assert not [reader.ends for reader in ledger.readers if reader.ends]
