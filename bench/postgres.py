"""A Postgres for durable peers: the programs and the settings that Relay's own has."""

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
    """Its DSN and process, in a folder of its own, until the block ends."""
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
            process.communicate()  # the end of its input ends it


async def _keep(folder: Path) -> None:
    async with running_postgres(folder / "data") as server:
        print(server.dsn, server.pid, flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)


if __name__ == "__main__":
    trio.run(_keep, Path(sys.argv[1]))
