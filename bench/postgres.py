"""A Postgres for durable peers, with the programs and the settings of Relay's embedded one."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio

from bench.machine import OTHER_CORES, on_cores
from relay.db.embedded import running_postgres


@contextmanager
def postgres() -> Iterator[tuple[str, int]]:
    """Start a Postgres in a temporary folder; yields its DSN and process id."""
    with tempfile.TemporaryDirectory() as folder, on_cores(OTHER_CORES):
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.postgres", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            dsn, _, pid = process.stdout.readline().strip().rpartition(" ")
            if not pid:
                raise RuntimeError("Postgres did not start")
            yield dsn, int(pid)
        finally:
            process.communicate()  # closes its stdin, which ends it


async def _keep(folder: Path) -> None:
    async with running_postgres(folder / "data") as server:
        print(server.dsn, server.pid, flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)


if __name__ == "__main__":
    trio.run(_keep, Path(sys.argv[1]))
