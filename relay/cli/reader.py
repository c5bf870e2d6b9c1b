"""Whoever reads our output, as `head` does, may have enough: then there is nothing left to do."""

import os
import select
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

UNREAD = 141  # 128 + SIGPIPE, as shells say it


@contextmanager
def while_read() -> Iterator[None]:
    """End the process quietly once nobody reads stdout: at once, not with the next line for it."""
    stdout = sys.stdout.fileno()
    if not os.isatty(stdout):
        threading.Thread(target=_wait_for_the_end, args=(stdout,), daemon=True).start()
    try:
        yield
    except BrokenPipeError:
        os._exit(UNREAD)


def _wait_for_the_end(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, 0)  # errors alone: the other end is closed
    poll.poll()
    os._exit(UNREAD)
