"""Slots for workers, which stay when a worker is replaced."""

import trio

from relay.workers.protocol import Order


class Place:
    """A slot for one worker at a time, and its configuration."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.renewing: trio.Event | None = None  # while a reload is requested
        self._stirred = trio.Event()

    def stir(self) -> None:
        """Wake up the task that waits in `stirred`."""
        self._stirred.set()

    async def stirred(self) -> None:
        """Wait for `stir`."""
        await self._stirred.wait()
        self._stirred = trio.Event()

    def renewed(self) -> None:
        """Report that the reload is done or has failed."""
        if self.renewing is not None:
            self.renewing.set()
            self.renewing = None
