"""Where a worker works: what stays when it goes."""

import trio

from relay.workers.protocol import Order


class Place:
    """Where one worker works, and after it the next, by the same order."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.renewing: trio.Event | None = None  # asked for; set when it is done
        self._stirred = trio.Event()

    def stir(self) -> None:
        """Something happened that whoever keeps this place should look at."""
        self._stirred.set()

    async def stirred(self) -> None:
        await self._stirred.wait()
        self._stirred = trio.Event()

    def renewed(self) -> None:
        """What was asked for is done, or was tried in vain; whoever waits for it goes on."""
        if self.renewing is not None:
            self.renewing.set()
            self.renewing = None
