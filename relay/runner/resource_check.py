"""Whether this process may have the files and threads that the runner and its client need."""

import errno
import os
import threading

# Open files at once: the runner's pipes and terminal (13 at most), and beside them the client's
# connection with its resolver, certificates and event loop, and the file of the next run.
FILES = 26
THREADS = 10  # the leader, the command, and up to 8 threads that copy, watch and send


def check_resources() -> None:
    """Raises OSError where a limit of this process or of its user leaves too few of either."""
    opened: list[int] = []
    try:
        while len(opened) < FILES:
            opened.append(os.open(os.devnull, os.O_RDONLY))
    finally:
        for fd in opened:
            os.close(fd)
    _check_threads()


def _check_threads() -> None:
    end = threading.Event()
    threads = [threading.Thread(target=end.wait, daemon=True) for _ in range(THREADS)]
    started: list[threading.Thread] = []
    try:
        for thread in threads:
            thread.start()
            started.append(thread)
    except RuntimeError as error:  # its only reason: the system refuses one
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from error
    finally:
        end.set()
        for thread in started:
            thread.join()
