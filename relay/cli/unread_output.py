"""Ends a command when the reader of its output is gone, as in `relay tail | head`."""

import os
import select
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

UNREAD_EXIT_CODE = 141  # 128 + SIGPIPE, as in shells


@contextmanager
def exit_when_unread() -> Iterator[None]:
    """End the process without a message as soon as stdout has no reader, also while it is idle."""
    if sys.stdout is not None and not sys.stdout.isatty():
        stdout = sys.stdout.fileno()
        threading.Thread(target=_exit_when_closed, args=(stdout,), daemon=True).start()
    try:
        yield
    except BrokenPipeError:
        os._exit(UNREAD_EXIT_CODE)


def _exit_when_closed(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, 0)  # errors only: the reader closed its end
    poll.poll()
    os._exit(UNREAD_EXIT_CODE)
