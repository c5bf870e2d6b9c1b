"""Bounds how many lines of batches are parsed before other tasks get their turn.

Without it, twenty batches that come in the same moment would be parsed one after the other, while
single events, streams and the next commit wait for the last of them.
"""

import trio

LINES = 200  # between two passes of the scheduler: about half a millisecond


class Pace:
    """How many lines may still be parsed in this pass of the scheduler, of all batches together."""

    def __init__(self) -> None:
        self._left = LINES
        self._renewing = False

    async def keep(self, lines: int) -> None:
        """Wait for a pass with lines left, and take `lines` of them. Call it before parsing."""
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
