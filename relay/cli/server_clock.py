"""The server's clock, as far as its answers show it: tasks are as old as it says."""

import math
import time
from datetime import datetime


class ServerClock:
    """Reads as this machine's clock, and no earlier than a time that the server gave has passed.

    How far the server is ahead is kept by a clock that is never set: this machine's clock may be
    hours behind for a while, and is right again.
    """

    def __init__(self) -> None:
        self._ahead = -math.inf  # seconds by which the server's time exceeds `time.monotonic`

    def note(self, received: datetime) -> None:
        """The server's clock has reached this time."""
        self._ahead = max(self._ahead, received.timestamp() - time.monotonic())

    def now(self) -> float:
        """Seconds since 1970."""
        return max(time.time(), time.monotonic() + self._ahead)
