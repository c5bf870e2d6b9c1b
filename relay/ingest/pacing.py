"""How much is read of batches before everybody else gets their turn, whoever reads.

Twenty batches that come in the same moment would be read one after the other, while single events,
streams and the next commit wait for the last of them.
"""

import trio

LINES = 200  # between two passes of the scheduler: about half a millisecond


class Pace:
    """Shared by all who read."""

    def __init__(self) -> None:
        self._left = LINES
        self._renewing = False

    async def keep(self, lines: int) -> None:
        """Before reading so many: wait for a pass in which not enough was read yet."""
        while self._left <= 0:
            await self._next_pass()
        self._left -= lines

    async def _next_pass(self) -> None:
        first, self._renewing = not self._renewing, True
        try:
            await trio.lowlevel.checkpoint()
        finally:
            if first:
                self._left, self._renewing = LINES, False
