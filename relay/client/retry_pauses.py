"""How long a failed request waits before it is tried again."""

import random

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 15.0  # between attempts
LONGEST_RETRY_AFTER_SECONDS = 300.0  # another program may ask for a day


def bounded(retry_after: float) -> float:
    """The seconds that an answer asks to wait, within bounds."""
    return min(max(0.0, retry_after), LONGEST_RETRY_AFTER_SECONDS)


def pause_before(attempt: int, retry_after: float | None = None) -> float:
    """Seconds before the next attempt: the time Relay asked for, or doubled each time; jittered."""
    if retry_after is not None:
        return retry_after + random.uniform(0, FIRST_PAUSE_SECONDS)
    return min(
        FIRST_PAUSE_SECONDS * 2.0 ** min(attempt, 16), LONGEST_PAUSE_SECONDS
    ) * random.uniform(0.5, 1.0)
