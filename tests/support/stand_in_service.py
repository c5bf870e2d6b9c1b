"""A pool of workers that do what a test says, and serve nothing."""

import os
import signal
import sys
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from relay.workers.protocol import WorkerConfig
from relay.workers.slots import WorkerSlot
from relay.workers.worker_pool import WorkerPool
from tests.support.patience import PATIENCE, eventually
from tests.support.scripts import stand_in_worker as stand_in


class Service:
    """Two workers, what they do from now on, and what is logged of them."""

    def __init__(self, folder: Path, log: list[MutableMapping[str, Any]]) -> None:
        self._folder = folder
        self._log = log
        self._reload, self._reloads = trio.open_memory_channel[None](1)
        self._python = folder / "python"
        self.install()
        (folder / "metrics").mkdir()
        self.does(1, "serve")
        self.does(2, "serve")

    def install(self) -> None:
        """Put the workers' program in its place."""
        self._python.symlink_to(sys.executable)

    def uninstall(self) -> None:
        """Take it away, as an upgrade does for a moment."""
        self._python.unlink()

    def does(self, number: int, what: str) -> None:
        (self._folder / str(number)).write_text(what)

    def let(self) -> None:
        (self._folder / "let").touch()

    def received(self, number: int) -> str:
        file = self._folder / f"{number} received"
        return file.read_text() if file.exists() else ""

    def pool(self, start_timeout: float = PATIENCE, silence: float = PATIENCE) -> WorkerPool:
        slots = [
            WorkerSlot(WorkerConfig(n, {}, [], [], [], "", "", "", (), "", None)) for n in (1, 2)
        ]
        command = (str(self._python), str(stand_in.__file__), str(self._folder))
        metrics = str(self._folder / "metrics")
        return WorkerPool(
            slots,
            command,
            [],
            metrics,
            grace=PATIENCE,
            silence=silence,
            start_timeout=start_timeout,
        )

    @asynccontextmanager
    async def at_work(self, **times: float) -> AsyncIterator[WorkerPool]:
        """All serve; in the end they are asked to end, and do."""
        pool = self.pool(**times)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pool.run)
            with trio.fail_after(PATIENCE):
                await pool.all_serve.wait()
            nursery.start_soon(pool.reload_on, self._reloads)
            yield pool
            with trio.fail_after(PATIENCE):
                await pool.end()
            nursery.cancel_scope.cancel()

    def renew(self) -> None:
        self._reload.send_nowait(None)

    def kill(self, number: int) -> None:
        """Kill the process that serves with this number."""
        os.kill(self.logged("worker_serves", worker=number)[-1]["pid"], signal.SIGKILL)

    def logged(self, event: str, **fields: Any) -> list[MutableMapping[str, Any]]:
        return [
            line for line in self._log if line["event"] == event and fields.items() <= line.items()
        ]

    async def says(self, event: str, times: int = 1, **fields: Any) -> None:
        await eventually(lambda: len(self.logged(event, **fields)) >= times)
