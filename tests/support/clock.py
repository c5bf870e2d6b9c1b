"""A virtual clock that runs by itself and that a test moves on by hours."""

from trio.testing import MockClock, wait_all_tasks_blocked


async def pass_by(clock: MockClock, seconds: float) -> None:
    """So much time goes by, and everybody here has noticed.

    Idle HTTP connections end on the way: no request may be under way.
    """
    await wait_all_tasks_blocked()  # all that has come is read, all that was sent is written
    clock.jump(seconds)
    await wait_all_tasks_blocked()
