"""The attempts at one request: how often, and how long to wait in between."""

import threading
import time
from collections.abc import Callable

from relay.client.retry_pauses import pause_before

TICK_SECONDS = 0.5  # between two looks at the events that wait and at the deadline


class Closing:
    """The end of a sender: from `begin` on, it stops at a deadline on the monotonic clock."""

    def __init__(self) -> None:
        self._begun = threading.Event()
        self.deadline = float("inf")

    def begin(self, deadline: float) -> None:
        """End by `deadline`. The earliest one counts."""
        self.deadline = min(self.deadline, deadline)
        self._begun.set()

    @property
    def has_begun(self) -> bool:
        return self._begun.is_set()

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self.deadline

    def wait(self, seconds: float) -> None:
        """Wait for the beginning of the end, at most so long."""
        self._begun.wait(seconds)


class Attempts:
    """A context for one request. For the sender's thread."""

    def __init__(
        self, closing: Closing, on_tick: Callable[[], None], most: int | None = None
    ) -> None:
        """`on_tick` is called now and then while it waits. `most` bounds the attempts."""
        self._closing = closing
        self._on_tick = on_tick
        self._most = most
        self._failed = 0

    def wait(self, retry_after: float | None) -> bool:
        """Wait after a failed attempt; False if there is no next one before the deadline."""
        self._failed += 1
        if self._most is not None and self._failed >= self._most:
            return False
        was_closing = self._closing.has_begun
        pause = pause_before(self._failed - 1, retry_after)
        if not self._sleep(pause, may_end_early=retry_after is None):
            return False
        if self._closing.has_begun and not was_closing:
            self._failed = 0  # the last attempts begin with short pauses again
        return True

    def _sleep(self, seconds: float, *, may_end_early: bool) -> bool:
        """Sleep, until the end begins if that is allowed. False if the deadline comes before."""
        until = time.monotonic() + seconds
        was_closing = self._closing.has_begun
        while (left := until - time.monotonic()) > 0:
            self._on_tick()
            if not self._closing.has_begun:
                self._closing.wait(min(left, TICK_SECONDS))
            elif may_end_early and not was_closing:
                return True
            elif until > self._closing.deadline:
                return False
            else:
                time.sleep(left)
        return True
