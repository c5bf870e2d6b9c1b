"""Waits for the answer of a node, longer where the process itself was late."""

import trio


async def wait_for_answer(answered: trio.Event, seconds: float, *, max_stall: float) -> None:
    """Wait until `answered` is set, for `seconds` at most.

    A process that was itself late by more than `max_stall` seconds waits once more: the answer may
    have come, and is not read yet.
    """
    deadline = trio.current_time() + seconds
    with trio.move_on_at(deadline):
        await answered.wait()
    if not answered.is_set() and trio.current_time() - deadline > max_stall:
        with trio.move_on_after(seconds):
            await answered.wait()
