"""One call that waits for something: an ask's end, a stop, its process's drain."""

import math
from collections.abc import Awaitable, Callable
from enum import Enum, auto

import trio

TICK_SECONDS = 0.25  # waits end together at its multiples: to wake an idle process costs the most


class WaitEnd(Enum):
    """What ended a wait."""

    ENDED = auto()  # `end` was called
    TIME_OVER = auto()
    CLIENT_LEFT = auto()


class Wait:
    """A wait that others end. It costs a cancel scope in the task of its call, and no other task.

    `is_over` is whether `end` was called.
    """

    __slots__ = ("_scope", "is_over")

    def __init__(self) -> None:
        self.is_over = False
        self._scope: trio.CancelScope | None = None

    def end(self) -> None:
        """Let the call go on, now or as soon as it begins to wait."""
        self.is_over = True
        if self._scope is not None:
            self._scope.cancel()

    async def run(self, disconnected: Callable[[], Awaitable[object]], seconds: float) -> WaitEnd:
        """Wait for the end or `disconnected`, for so many seconds and up to a tick at most."""
        ticks = math.ceil((trio.current_time() + seconds) / TICK_SECONDS)
        with trio.move_on_at(ticks * TICK_SECONDS) as self._scope:
            if not self.is_over:
                await disconnected()
        if self.is_over:
            return WaitEnd.ENDED
        return WaitEnd.TIME_OVER if self._scope.cancelled_caught else WaitEnd.CLIENT_LEFT
