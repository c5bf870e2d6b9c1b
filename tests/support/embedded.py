"""The embedded Postgres in a test: its folder, its processes, and a Relay that runs one."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from relay.db import embedded
from relay.db.embedded import Account
from relay.db.embedded.cluster import Cluster
from relay.db.embedded.leftovers import find_processes
from relay.db.embedded.programs import find_binaries, find_programs
from tests.support.patience import PATIENCE, eventually

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="root has ways of its own")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
ROOT = Path(__file__).parents[2]

running_postgres = partial(embedded.running_postgres, start_timeout=PATIENCE, stop_timeout=PATIENCE)

# A Relay, as far as its database goes: it says where Postgres is and waits for its end.
RELAY = """
import os, sys, trio
from pathlib import Path
from relay.db.embedded import EmbeddedError, running_postgres

async def main():
    async with running_postgres(Path(sys.argv[1])) as postgres:
        print(postgres.pid, os.geteuid(), postgres.dsn, flush=True)
        await trio.sleep_forever()

try:
    trio.run(main)
except EmbeddedError as error:
    print(error, flush=True)
"""


async def sql(dsn: str, statement: str) -> str:
    """What psql prints for a statement; raises CalledProcessError if that fails."""
    done = await trio.run_process(
        [str(find_binaries() / "psql"), "-XAwtc", statement, dsn],
        capture_stdout=True,
        capture_stderr=True,
    )
    return done.stdout.decode().strip()


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def nothing_left(folder: Path) -> bool:
    """Whether no process works on the cluster and no trace says that one does."""
    cluster = folder / "postgres"
    return (
        not find_processes(cluster)
        and not (cluster / "postmaster.pid").exists()
        and not list(folder.glob("postgres.new-*"))
        and not list(cluster.glob(".s.PGSQL*"))
    )


@asynccontextmanager
async def relay_process(
    folder: Path, *prefix: str
) -> AsyncIterator[tuple[subprocess.Popen[bytes], str]]:
    """A Relay in a process of its own and the first line it says; killed in the end.

    A prefix may have it end with the thread that starts it, so that is no thread of trio's: these
    end after ten idle seconds.
    """
    with subprocess.Popen(  # noqa: ASYNC220 - as Relay starts programs
        [*prefix, sys.executable, "-c", RELAY, str(folder)],
        stdout=subprocess.PIPE,
        cwd=folder.parent,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        try:
            line = b""
            async with trio.lowlevel.FdStream(os.dup(process.stdout.fileno())) as output:
                with trio.fail_after(PATIENCE):
                    async for chunk in output:
                        line += chunk
                        if line.endswith(b"\n"):
                            break
            yield process, line.decode().strip()
        finally:
            process.kill()


@asynccontextmanager
async def orphan(folder: Path) -> AsyncIterator[subprocess.Popen[bytes]]:
    """A Postgres on the folder's cluster that no Relay looks after."""
    async with running_postgres(folder):
        pass
    cluster = Cluster(folder / "postgres", await find_programs(accounts(), folder))
    process = cluster.launch(cluster.path, subprocess.DEVNULL, connections=10)
    try:
        await eventually(lambda: cluster.is_ready(process.pid))
        yield process
    finally:
        process.kill()
        process.wait()


def accounts() -> list[Account]:
    return [Account.current_user() if os.geteuid() else Account.mapped_user()]


async def run_for_ever(folder: Path) -> None:
    async with running_postgres(folder):
        await trio.sleep_forever()
