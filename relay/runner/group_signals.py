"""Tells signals to the whole process group from those to the runner alone."""

import threading
import time
from collections.abc import Callable

# Seconds until the session leader is asked. A signal to the runner alone is forwarded so late.
WAIT_SECONDS = 0.1
SAME_SIGNAL_SECONDS = 2.0  # a report that is older was about another signal of that number


class GroupSignals:
    """The signals that the session leader got. It is in the runner's process group.

    Nothing sends it one by itself: what it gets was sent to the whole group, to the command too.
    """

    def __init__(self, request_signals: Callable[[], None]) -> None:
        """`request_signals` has the leader report all signals that it got until then."""
        self._request_signals = request_signals
        self._changed = threading.Condition()
        self._reported: dict[int, float] = {}  # signal: monotonic seconds
        self._answers = 0
        self._closed = False

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
            self._changed.notify_all()

    def reached_command(self, number: int) -> bool:
        """Whether a signal that the runner just got need not be forwarded.

        It was sent to the whole group, or the command has ended. On a busy machine the leader may
        not have run yet, so it is asked before the answer is no.
        """

        def reported() -> bool:
            age = time.monotonic() - self._reported.get(number, float("-inf"))
            return age < SAME_SIGNAL_SECONDS

        with self._changed:
            if not self._changed.wait_for(reported, WAIT_SECONDS) and not self._closed:
                answers = self._answers
                self._request_signals()
                self._changed.wait_for(lambda: self._answers > answers or self._closed)
            found = reported()
            self._reported.pop(number, None)
            return found or self._closed
