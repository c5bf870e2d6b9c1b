"""How long a test waits for something that must come: one number for all tests.

It is no measurement. What is right comes within milliseconds on a quiet machine, and within
seconds beside three other tests and a starved processor; only what never comes reaches the end
of it. So no test asks how long something took: it asks what came, and in which order.
"""

import time
from collections.abc import Callable

import trio

PATIENCE = 120.0
"""Seconds until something that has not come counts as never coming."""

LOOK_EVERY = 0.01
"""Seconds between two looks at what no event announces: a file, another process."""


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait until it holds. Raises trio.TooSlowError after PATIENCE seconds."""
    with trio.fail_after(PATIENCE):
        while not holds():  # noqa: ASYNC110 - files and other processes set no Event
            await trio.sleep(LOOK_EVERY)


async def eventually_on_a_still_clock(holds: Callable[[], bool]) -> None:
    """The same where trio's clock is the test's own, and does not move by itself."""
    until = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > until:
            raise trio.TooSlowError
        await trio.lowlevel.checkpoint()
