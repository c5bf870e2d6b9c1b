"""The embedded Postgres stops with its block, also when it is busy, frozen or dead."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.support.embedded import is_gone, nothing_left, running_postgres, sql
from tests.support.patience import PATIENCE


async def test_ctrl_c_in_the_terminal_does_not_reach_postgres(folder: Path) -> None:
    async with running_postgres(folder) as postgres:
        assert os.getsid(postgres.pid) == os.getpgid(postgres.pid) == postgres.pid


async def test_postgres_stops_when_the_block_raises_or_is_cancelled(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with running_postgres(folder) as postgres:
            raise ZeroDivisionError
    assert is_gone(postgres.pid)
    assert nothing_left(folder)
    with trio.CancelScope() as scope:
        async with running_postgres(folder) as postgres:
            scope.cancel()
            await trio.sleep_forever()
    assert is_gone(postgres.pid)
    assert nothing_left(folder)


async def test_a_busy_server_stops_too(folder: Path) -> None:
    async with trio.open_nursery() as nursery:
        async with running_postgres(folder) as postgres:
            nursery.start_soon(_interrupted, postgres.dsn)
            waiting = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'"
            while await sql(postgres.dsn, waiting) != "1":
                pass
        assert nothing_left(folder)


async def _interrupted(dsn: str) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        await sql(dsn, "select pg_sleep(600)")


async def test_a_frozen_server_is_forced_to_stop(folder: Path) -> None:
    async with running_postgres(folder, stop_timeout=0.2) as postgres:
        os.kill(postgres.pid, signal.SIGSTOP)
    assert is_gone(postgres.pid)
    assert nothing_left(folder)


@pytest.mark.parametrize(
    ("number", "reason"),
    [(signal.SIGKILL, "killed by SIGKILL"), (signal.SIGTERM, "it was shut down")],
)
async def test_a_dead_server_is_reported_with_its_reason(
    folder: Path, number: signal.Signals, reason: str
) -> None:
    async with running_postgres(folder) as postgres:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(postgres.wait_until_ended)
            await trio.testing.wait_all_tasks_blocked()
            assert nursery.child_tasks  # it lives, and waiting for its death can be given up
            nursery.cancel_scope.cancel()
        os.kill(postgres.pid, number)
        with trio.fail_after(PATIENCE):
            assert await postgres.wait_until_ended() == reason
    assert nothing_left(folder)
