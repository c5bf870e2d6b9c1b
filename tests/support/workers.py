"""A Relay with several workers, as a process."""

from pathlib import Path

import psutil

from tests.support.processes import lives
from tests.support.relay_process import Program


class Workers(Program):
    """A Relay with two workers."""

    def __init__(self, folder: Path, database_url: str | None = None, **settings: str) -> None:
        super().__init__(folder, database_url, RELAY_WORKERS="2", TMPDIR=str(folder), **settings)

    async def ready(self) -> None:
        """All of them serve: one that starts reads its files later than another answers."""
        await super().ready()
        await self.says("worker_serves", 2)

    def workers(self) -> list[psutil.Process]:
        """The worker processes alive now that have an order."""
        ordered = {line["pid"] for line in self.logged("worker_started")}
        children = psutil.Process(self.pid).children()
        return [child for child in children if child.pid in ordered and lives(child)]

    def spare(self) -> int | None:
        """The worker that has imported everything and waits for its order, once there is one."""
        children = psutil.Process(self.pid).children()
        return next((child.pid for child in children if child.name() == "relay spare"), None)

    def metrics_folders(self) -> list[Path]:
        return list(self.folder.glob("relay-metrics-*"))
