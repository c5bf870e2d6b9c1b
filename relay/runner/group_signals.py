"""Distinguishes signals to the whole process group from signals to the runner alone."""

import signal
import threading
import time
from collections.abc import Callable, Collection

# Seconds that a sender may take from one process of the group to the next, where it sends to each
# of them, as systemd does. Delays signals to the runner alone.
WAIT_SECONDS = 0.1
# Seconds until a report counts no longer, of a signal that the runner itself did not get. Longer
# than the runner may wait for a processor on a machine with too much to do.
SAME_SIGNAL_SECONDS = 60.0


class GroupSignals:
    """The signals that the session leader got. It is in the runner's process group.

    Nothing sends a signal to the leader alone: each was sent to the whole group, and so to the
    command. The system sends it to all of a group at once. So once the runner has taken its own,
    the leader can answer: no time decides.
    """

    def __init__(
        self,
        request_signals: Callable[[], None],
        pending: Callable[[], Collection[int]] = signal.sigpending,
    ) -> None:
        """`request_signals` has the leader report all signals that it got until then.

        `pending` returns the signals that the runner got and has not taken yet.
        """
        self._request_signals = request_signals
        self._pending = pending
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
        """Whether a signal that the runner has just taken need not be forwarded.

        It was sent to the whole group, or the command has ended. The leader is asked also where it
        has reported this signal: it may have got two that were one for the runner.
        """
        with self._changed:
            if not self._closed:
                answers = self._answers
                self._request_signals()
                self._changed.wait_for(lambda: self._answers > answers or self._closed)
            self._changed.wait_for(lambda: self.has(number) or self._closed, WAIT_SECONDS)
            found = self.has(number)
            # The report may also be about the next signal of this number, if that is pending.
            if self._closed or number not in self._pending():
                self._reported.pop(number, None)
            return found or self._closed

    def has(self, number: int) -> bool:
        """Whether the leader has reported this signal, and the runner has not got its own yet."""
        now = time.monotonic() if self._closed_at is None else self._closed_at
        return now - self._reported.get(number, float("-inf")) < SAME_SIGNAL_SECONDS
