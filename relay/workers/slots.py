"""Slots for workers, which stay when a worker is replaced."""

import trio

from relay.workers.protocol import WorkerConfig


class WorkerSlot:
    """A slot for one worker at a time, and its configuration."""

    def __init__(self, worker_config: WorkerConfig) -> None:
        self.worker_config = worker_config
        self.reload_done: trio.Event | None = None  # while a reload is requested
        self._changed = trio.Event()

    def notify(self) -> None:
        """Wake up the task that waits in `wait_for_change`."""
        self._changed.set()

    async def wait_for_change(self) -> None:
        """Wait for `notify`."""
        await self._changed.wait()
        self._changed = trio.Event()

    def finish_reload(self) -> None:
        """Report that the reload is done or has failed."""
        if self.reload_done is not None:
            self.reload_done.set()
            self.reload_done = None
