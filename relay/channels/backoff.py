"""When a notification that was not delivered is tried again."""

import random
from collections.abc import Callable

FIRST_PAUSE_SECONDS = 5.0
GROWTH = 3.0  # each pause is so many times the one before
MAX_PAUSE_SECONDS = 3_600.0
JITTER = 0.2  # of a pause, either way: receivers that come back are not met by all at once
TRIED_FOR_SECONDS = 86_400.0  # a day, from when it was made
_LAST_GROWTH = 16  # beyond it the pause is the longest anyway


def next_pause(
    failures: int,
    age_s: float,
    *,
    wanted_s: float | None = None,
    draw: Callable[[], float] = random.random,
) -> float | None:
    """Seconds until the next attempt after so many failures; None if the day is over then.

    `wanted_s` is what the receiver asks for: it is not tried before. A wish beyond the day leaves
    one last attempt at the end of the day.
    """
    pause = FIRST_PAUSE_SECONDS * GROWTH ** min(max(failures - 1, 0), _LAST_GROWTH)
    pause = min(pause, MAX_PAUSE_SECONDS) * (1 + JITTER * (2 * draw() - 1))
    left = TRIED_FOR_SECONDS - age_s
    if wanted_s is not None and wanted_s > pause:
        pause = min(wanted_s, left) if left > pause else wanted_s
    return pause if pause <= left else None
