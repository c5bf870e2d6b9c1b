"""Distinguishes signals to the whole process group from signals to the runner alone."""

import threading
import time
from collections.abc import Callable

# Seconds to wait for the leader's report before it is asked: delays signals to the runner alone.
WAIT_SECONDS = 0.1
SAME_SIGNAL_SECONDS = 2.0  # an older report is about an earlier signal of that number


class GroupSignals:
    """The signals that the session leader got. It is in the runner's process group.

    Nothing sends a signal to the leader alone: each was sent to the whole group, and so to the
    command.
    """

    def __init__(self, request_signals: Callable[[], None]) -> None:
        """`request_signals` has the leader report all signals that it got until then."""
        self._request_signals = request_signals
        self._changed = threading.Condition()
        self._reported: dict[int, float] = {}  # signal: monotonic seconds
        self._answers = 0
        self._closed = False
        self._closed_at: float | None = None  # monotonic seconds; nothing grows older after it

    def report(self, number: int) -> None:
        """The leader got this signal."""
        with self._changed:
            self._reported[number] = time.monotonic()
            self._changed.notify_all()

    def all_reported(self) -> None:
        """The leader has answered a request."""
        with self._changed:
            self._answers += 1
            self._changed.notify_all()

    def close(self) -> None:
        """The leader reports nothing more: the command has ended."""
        with self._changed:
            self._closed = True
            self._closed_at = time.monotonic()
            self._changed.notify_all()

    def reached_command(self, number: int) -> bool:
        """Whether a signal that the runner just got need not be forwarded.

        It was sent to the whole group, or the command has ended. On a busy machine the leader may
        not have run yet, so it is asked before the answer is no.
        """

        def reported() -> bool:
            return self.has(number)

        with self._changed:
            if not self._changed.wait_for(reported, WAIT_SECONDS) and not self._closed:
                answers = self._answers
                self._request_signals()
                self._changed.wait_for(lambda: self._answers > answers or self._closed)
            found = reported()
            self._reported.pop(number, None)
            return found or self._closed

    def has(self, number: int) -> bool:
        """Whether the leader has reported this signal, and the runner has not got its own yet."""
        now = time.monotonic() if self._closed_at is None else self._closed_at
        return now - self._reported.get(number, float("-inf")) < SAME_SIGNAL_SECONDS
