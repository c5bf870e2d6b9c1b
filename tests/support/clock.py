"""A virtual clock that runs by itself and that a test moves on by hours."""

from collections.abc import Iterable

from trio.testing import MockClock, wait_all_tasks_blocked

CLOCKS = {"clock", "mock_clock", "autojump_clock"}
"""The fixtures that are a clock."""


def unused_clocks(fixtures: Iterable[str], taken: Iterable[str]) -> set[str]:
    """Of a test's fixtures the clocks that it does not go by.

    pytest-trio gives a test the clock that the test itself takes. With one that only a fixture of
    it takes, time is real, and an hour of it is an hour.
    """
    return CLOCKS.intersection(fixtures).difference(taken)


async def pass_by(clock: MockClock, seconds: float) -> None:
    """So much time goes by, and everybody here has noticed.

    Idle HTTP connections end on the way: no request may be under way.
    """
    await wait_all_tasks_blocked()  # all that has come is read, all that was sent is written
    clock.jump(seconds)
    await wait_all_tasks_blocked()
