"""What Relay's RateLimit header fields say: how many more events it takes, and when."""

import time
from collections.abc import Mapping

import msgspec


class Quota(msgspec.Struct, frozen=True):
    """The tightest limit on a request. `reset` and `answered_at` are in seconds.

    `limit` events are allowed at once, `remaining` of them now, and all again after `reset`.
    `answered_at` is on the monotonic clock. `is_exceeded`: the request was refused for it.
    """

    limit: int
    remaining: int
    reset: int
    answered_at: float
    is_exceeded: bool

    @property
    def rate(self) -> float:
        """Events per second that become free again; infinite while all are free."""
        taken = self.limit - self.remaining
        return taken / self.reset if taken > 0 and self.reset > 0 else float("inf")

    def wait_for(self, events: int) -> float:
        """Seconds from now until so many events, at most `limit`, are allowed."""
        missing = min(events, self.limit) - self.remaining
        if missing <= 0:
            return 0.0
        return max(0.0, self.answered_at + missing / self.rate - time.monotonic())


def read_quota(status: int, headers: Mapping[str, str]) -> Quota | None:
    """The quota of an answer; None if it has none, or one that cannot be read."""
    names = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
    fields = [headers.get(name, "") for name in names]
    # a window is a day at most: longer numbers are not Relay's
    if not all(field.isascii() and field.isdigit() and len(field) <= 9 for field in fields):
        return None
    limit, remaining, reset = map(int, fields)
    if limit < 1:
        return None
    return Quota(limit, min(remaining, limit), reset, time.monotonic(), status == 429)
