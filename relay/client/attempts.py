"""The attempts at a request: how long to wait in between."""

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
    """The attempts at one request, one after the other. For the sender's thread."""

    def __init__(self, closing: Closing, on_tick: Callable[[], None]) -> None:
        """`on_tick` is called now and then while it waits."""
        self._closing = closing
        self._on_tick = on_tick
        self._failed = 0

    def wait(self, retry_after: float | None) -> bool:
        """Wait after a failed attempt; False if there is no next one before the deadline."""
        was_closing = self._closing.has_begun
        pause = pause_before(self._failed, retry_after)
        self._failed += 1
        if not self.sleep(pause, may_end_early=retry_after is None):
            return False
        if self._closing.has_begun and not was_closing:
            self._failed = 0  # the last attempts begin with short pauses again
        return True

    def sleep(self, seconds: float, *, may_end_early: bool) -> bool:
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


class IdleAttempts:
    """Single attempts in idle moments. Nothing waits for them, but they have their pauses, too."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed = 0
        self._next = 0.0  # the time from which on they are due
        self._asked = 0.0  # the one that Relay has asked for: it counts for all requests

    @property
    def is_due(self) -> bool:
        return self._clock() >= self._next

    @property
    def asked_pause(self) -> float:
        """Seconds that Relay has asked to wait from now on."""
        return max(0.0, self._asked - self._clock())

    def wait(self, retry_after: float | None) -> bool:
        """After a failed attempt: the next one is due later. Always False."""
        self._next = self._clock() + pause_before(self._failed, retry_after)
        if retry_after is not None:
            self._asked = self._next
        self._failed += 1
        return False

    def succeed(self) -> None:
        """After an attempt that did not fail: the next pause is short again."""
        self._failed = 0
