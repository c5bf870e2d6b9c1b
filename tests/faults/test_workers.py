"""Several workers under a supervisor: killed, failing, renewed, stopped, orphaned."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from tests.faults.ledger import load
from tests.faults.program import Program, copy_data, eventually, lives, running, send

REPLACED_WITHIN = 2.0  # seconds from the death of a worker until its successor serves
GRACE = 8.0  # seconds: RELAY_DRAIN_TIMEOUT's default
ORPHANS_GONE_WITHIN = 3.0  # seconds


class Workers(Program):
    """A Relay with two workers."""

    def __init__(self, folder: Path, database_url: str | None = None, **settings: str) -> None:
        super().__init__(folder, database_url, RELAY_WORKERS="2", **settings)

    def workers(self) -> list[psutil.Process]:
        """The worker processes alive now."""
        return [
            child
            for child in psutil.Process(self.pid).children()
            if lives(child) and "relay.cli.worker" in " ".join(child.cmdline())
        ]

    def serving(self, worker: psutil.Process) -> bool:
        """Whether it has said so: its database is ready just before."""
        return worker.pid in {
            line["pid"] for line in self.logged("worker_serves") if line["pid"] == worker.pid
        }

    def streams_of(self, worker: psutil.Process) -> int:
        """Connections that this worker has accepted."""
        return sum(
            1
            for connection in worker.net_connections("tcp")
            if connection.laddr.port == self.port and connection.status == "ESTABLISHED"
        )


@pytest.fixture
async def pair(tmp_path: Path, made_data: Path) -> AsyncIterator[Workers]:
    """Two workers, and a Postgres that their supervisor runs."""
    program = Workers(tmp_path)
    copy_data(made_data, program.data)
    async with running(program):
        yield program


async def test_a_killed_worker_is_replaced_and_nobody_else_notices(pair: Workers) -> None:
    async with load(pair) as ledger:
        victim, other = pair.workers()
        undisturbed = pair.streams_of(other)
        send([victim], signal.SIGKILL)
        took = await eventually(
            lambda: len(pair.logged("worker_serves")) == 3, within=REPLACED_WITHIN * 2
        )
        assert took < REPLACED_WITHIN
        await ledger.goes_on()
        assert lives(other)
        assert undisturbed
    ended = [reader for reader in ledger.readers if reader.ends]
    assert len(ended) < len(ledger.readers), "readers of the other worker stayed"
    assert {line["code"] for line in pair.logged("worker_died")} == {-9}
