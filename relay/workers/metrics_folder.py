"""The folder of the workers' metrics, in the system's temporary folder.

Its supervisor holds a lock in it, which ends with the process. So the folder of one that was killed
is known, and the next supervisor removes it.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "relay-metrics-"
LOCK = "lock"


@contextmanager
def metrics_folder() -> Iterator[str]:
    """Provide a new folder for the length of the block, and remove those of killed supervisors."""
    _remove_left_over(Path(tempfile.gettempdir()))
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX) as folder,
        open(Path(folder, "unlocked"), "w") as lock,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.rename(lock.name, Path(folder, LOCK))  # locked from the moment that it has this name
        yield folder


def _remove_left_over(temporary: Path) -> None:
    for folder in temporary.glob(f"{PREFIX}*"):
        with suppress(OSError):  # another account's, in use, or just removed
            if folder.lstat().st_uid != os.getuid():
                continue
            with open(folder / LOCK, "r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
