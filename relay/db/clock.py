"""The database's clock, read without asking the database each time."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from relay.events import utc_now

MAX_READ_SECONDS = 1.0  # a slower answer tells too little about when the clock was read


class DatabaseClock:
    """The database's time, from this process's monotonic clock and the last answer.

    So the times of several hosts agree, and do not jump when the clock of one is set. Before the
    first answer it is this process's own time.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._origin = utc_now() - timedelta(seconds=monotonic())

    def now(self) -> datetime:
        """The database's time, in UTC."""
        return self._origin + timedelta(seconds=self._monotonic())

    def begin_read(self) -> float:
        """When a question for the time was sent, for `end_read`."""
        return self._monotonic()

    def end_read(self, began: float, answer: datetime) -> None:
        """Take over the answer: the clock was read between `began` and now.

        A clock that shows a time within these bounds stays, so that it does not jump to and fro.
        """
        ended = self._monotonic()
        if ended - began > MAX_READ_SECONDS:
            return
        earliest = answer - timedelta(seconds=ended)
        latest = answer - timedelta(seconds=began)
        if not earliest <= self._origin <= latest:
            self._origin = earliest + (latest - earliest) / 2
