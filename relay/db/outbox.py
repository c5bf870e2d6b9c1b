"""The outbox as one process uses it: its bounds, and the signal that something was put into it."""

import trio

from relay.db.notifications import OutboxBounds
from relay.db.receivers import ReceiverBounds


class Outbox:
    """What makes notifications calls `wake`, and what sends them waits for that."""

    def __init__(
        self, bounds: OutboxBounds | None = None, receivers: ReceiverBounds | None = None
    ) -> None:
        self.bounds = bounds or OutboxBounds()
        self.receivers = receivers or ReceiverBounds()
        self._woken = trio.Event()

    def wake(self) -> None:
        """Notifications of this process are due, or may be."""
        self._woken.set()

    async def wait(self, at_most: float) -> None:
        """Wait until `wake` is called, or so many seconds: other processes make some, too."""
        with trio.move_on_after(at_most):
            await self._woken.wait()
        self._woken = trio.Event()
