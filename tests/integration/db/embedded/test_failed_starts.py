"""A start that fails says why in one line, and leaves the folder as it was."""

import os
from pathlib import Path

import pytest
import trio
import trio.testing

from relay.db.embedded import EmbeddedError
from relay.db.embedded.programs import find_programs
from tests.support.embedded import (
    accounts,
    nothing_left,
    on_linux,
    run_for_ever,
    running_postgres,
    sql,
)
from tests.support.patience import PATIENCE, eventually


async def test_a_start_cut_short_leaves_no_half_made_cluster(new_folder: Path) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_for_ever, new_folder)
        await eventually(lambda: any(new_folder.glob("postgres.new-*/cluster/base")))
        nursery.cancel_scope.cancel()
    assert not (new_folder / "postgres").exists()
    assert nothing_left(new_folder)

    (new_folder / "postgres.new-killed" / "cluster").mkdir(parents=True)  # what SIGKILL leaves
    async with running_postgres(new_folder) as postgres:
        assert await sql(postgres.dsn, "select 1") == "1"
    assert nothing_left(new_folder)


async def test_a_folder_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place, complaint in {
        tmp_path / "file": "is not a directory",
        tmp_path / "file" / "data": "is not a directory",
        tmp_path / "absent" / "data": "its parent folder does not exist",
    }.items():
        with pytest.raises(EmbeddedError, match=f"^data folder {place}:? {complaint}$"):
            async with running_postgres(place):
                pass


async def test_an_unusable_cluster_is_refused_with_a_reason_and_left_unchanged(
    folder: Path,
) -> None:
    async with running_postgres(folder):
        pass
    cluster = folder / "postgres"

    async def complaint() -> str:
        with pytest.raises(EmbeddedError) as caught:
            async with running_postgres(folder):
                pass
        assert nothing_left(folder)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    control = cluster / "global" / "pg_control"
    intact = control.read_bytes()
    control.write_bytes(intact[:100] + bytes([intact[100] ^ 1]) + intact[101:])
    assert "did not start: incorrect checksum in control file" in await complaint()
    control.write_bytes(intact)

    (cluster / "PG_VERSION").write_text("12\n")
    assert "was made by Postgres 12 and this is Postgres 1" in await complaint()
    (cluster / "PG_VERSION").unlink()
    assert "is not a Postgres cluster" in await complaint()
    (cluster / "PG_VERSION").write_text("18\n")

    (folder / "postgres.password").rename(folder / "elsewhere")
    assert "postgres.password is missing" in await complaint()
    (folder / "elsewhere").rename(folder / "postgres.password")

    async with running_postgres(folder) as postgres:
        assert await sql(postgres.dsn, "select 1") == "1"


@on_linux
async def test_a_program_that_is_cancelled_at_once_leaves_no_process_and_no_open_file(
    folder: Path,
) -> None:
    programs = await find_programs(accounts(), folder)
    before = set(os.listdir("/proc/self/fd"))
    with trio.CancelScope() as scope:
        scope.cancel()
        await programs.run("postgres", "--version")
    assert scope.cancelled_caught
    # a thread of another test may close its own meanwhile
    assert set(os.listdir("/proc/self/fd")) <= before
    assert nothing_left(folder)


@pytest.mark.parametrize("during", ["postgres.new-*/cluster/base", "*"], ids=["initdb", "trial"])
async def test_a_start_that_takes_too_long_is_given_up(
    new_folder: Path, mock_clock: trio.testing.MockClock, during: str
) -> None:
    mock_clock.rate = 1

    async def start() -> None:
        with pytest.raises(EmbeddedError, match="did not start in time"):
            await run_for_ever(new_folder)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(start)
        await eventually(lambda: any(new_folder.glob(during)))
        mock_clock.jump(PATIENCE)
    assert nothing_left(new_folder)
