"""Limits how many lines of batches are parsed before other tasks run.

Without it, twenty batches that come at the same time would be parsed one after the other, while
single events, streams and the next commit wait.
"""

import trio

LINES_PER_PASS = 200  # in one pass of the scheduler: about half a millisecond


class ParseBudget:
    """How many more lines, of all batches together, may be parsed in this scheduler pass."""

    def __init__(self) -> None:
        self._left = LINES_PER_PASS
        self._renewing = False

    async def spend(self, lines: int) -> None:
        """Call before parsing: wait for a pass with budget left, then take `lines` from it."""
        while self._left <= 0:
            await self._next_pass()
        self._left -= lines

    async def _next_pass(self) -> None:
        first, self._renewing = not self._renewing, True
        try:
            await trio.lowlevel.checkpoint()
        finally:
            if first:
                self._left, self._renewing = LINES_PER_PASS, False
