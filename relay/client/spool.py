"""Events on disk while Relay is away: one file per process, sent later by any process.

The first line is the position up to which events are delivered, the second the owner; the others
are events. A process works on a file while it holds its lock, which ends with the process. Only
the file's owner can read it, because it contains logs.
"""

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import platformdirs

from relay.client.credentials import Credentials

MAX_FILE_BYTES = 64 * 2**20  # a few hours of a build with much output
MAX_FOLDER_BYTES = 256 * 2**20  # of all files together
RESERVE_BYTES = 2**20  # beyond `MAX_FILE_BYTES`, for starts and ends of tasks
MAX_AGE_SECONDS = 30 * 86_400  # of files of other users: older ones are deleted

_POSITION_BYTES = 20  # the first line: nineteen digits and a newline


class Owner(msgspec.Struct, frozen=True):
    """The Relay and the user of a file's events. They are sent to no other."""

    url: str
    user: str

    @classmethod
    def of(cls, credentials: Credentials) -> "Owner":
        return cls(credentials.url, credentials.owner)


def spool_folder() -> Path:
    return platformdirs.user_state_path("relay") / "spool"


class Spool:
    """A file with a queue of events. Not for several threads."""

    def __init__(self, path: Path, descriptor: int, first: int, room: int = 0) -> None:
        self.path = path
        self._descriptor = descriptor
        self._first = first
        self._end = os.fstat(descriptor).st_size
        self._next = min(first, self._end)
        self._room = room

    @property
    def waiting(self) -> int:
        """How many bytes are not delivered yet."""
        return self._end - self._next

    def add(self, line: bytes, *, important: bool = False) -> bool:
        """Append an event; returns False if the file is full. On OSError nothing is appended."""
        if self._end + len(line) > self._room + (RESERVE_BYTES if important else 0):
            return False
        written = os.pwrite(self._descriptor, line, self._end)
        if written < len(line):
            os.ftruncate(self._descriptor, self._end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._end += written
        return True

    def head(self, most_lines: int, most_bytes: int) -> list[bytes]:
        """The next events, at least one if there is any. A line without end is passed over."""
        lines: list[bytes] = []
        while self.waiting and not lines:
            block = os.pread(self._descriptor, min(self.waiting, most_bytes), self._next)
            *lines, _ = block.split(b"\n")
            if not lines and most_bytes >= self.waiting:
                self._next = self._end  # cut off by the end of the process that wrote it
            most_bytes *= 2  # one event alone may be longer
        return [line + b"\n" for line in lines[:most_lines]]

    def drop(self, lines: Iterable[bytes]) -> int:
        """Remove the next events, as many of these lines as are here; returns how many.

        Where the disk has no room for the new position, a later process sends them again.
        """
        count = 0
        for line in lines:
            if not self.waiting:
                break
            self._next += len(line)
            count += 1
        with suppress(OSError):
            # The position before the end: one beyond the end would hide what is added next.
            position = self._next if self.waiting else self._first
            os.pwrite(self._descriptor, b"%019d\n" % position, 0)
            if not self.waiting:
                os.ftruncate(self._descriptor, self._first)
                self._next = self._end = self._first
        return count

    def close(self) -> None:
        """Close the file for a later process, or delete it if it is empty."""
        if self._descriptor < 0:
            return
        if not self.waiting:
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = -1


def new_spool(owner: Owner, folder: Path | None = None) -> Spool:
    """Create a file for this process. Raises OSError."""
    folder = folder or spool_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    used_bytes = sum(_size(path) for path in folder.glob("*.ndjson"))
    path = folder / f"{time.time_ns():020d}-{os.getpid()}-{secrets.token_hex(4)}.ndjson"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        head = msgspec.json.encode(owner) + b"\n"
        os.pwrite(descriptor, b"%019d\n" % (_POSITION_BYTES + len(head)) + head, 0)
    except OSError:
        path.unlink(missing_ok=True)
        os.close(descriptor)
        raise
    return Spool(
        path,
        descriptor,
        _POSITION_BYTES + len(head),
        max(0, min(MAX_FILE_BYTES, MAX_FOLDER_BYTES - used_bytes)),
    )


def left_over_files(folder: Path | None = None) -> list[Path]:
    """The files of all owners and processes, the oldest first."""
    return sorted((folder or spool_folder()).glob("*.ndjson"))


def adopt(path: Path, owner: Owner) -> Spool | None:
    """Open a file that an ended process left; None if it is not this owner's, or just delivered.

    One of another owner is deleted when it is old. Raises BlockingIOError if a process works on the
    file, and OSError if it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    adopted = False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        status = os.fstat(descriptor)
        if status.st_nlink == 0 or status.st_uid != os.getuid():
            return None  # just delivered by another process, or another user's
        first = _first_of(descriptor, owner)
        if first is None:
            if time.time() - status.st_mtime > MAX_AGE_SECONDS:
                path.unlink(missing_ok=True)
            return None
        adopted = True
        return Spool(path, descriptor, first)
    finally:
        if not adopted:
            os.close(descriptor)


def read_waiting(path: Path, owner: Owner) -> Iterator[bytes]:
    """The events that wait in a file, also in one that another process works on.

    Of another owner's there are none. Raises OSError.
    """
    with path.open("rb") as file:
        if (first := _first_of(file.fileno(), owner)) is not None:
            file.seek(first)
            yield from file


def delivered_up_to(path: Path, owner: Owner) -> int | None:
    """The position in a file that another process works on; None if nothing waits in it.

    Raises OSError.
    """
    with path.open("rb") as file:
        first = _first_of(file.fileno(), owner)
        return first if first is not None and first < os.fstat(file.fileno()).st_size else None


def _first_of(descriptor: int, owner: Owner) -> int | None:
    """Where the owner's events begin that are to be sent; None if the file is not this owner's."""
    try:
        position, head, *_ = os.pread(descriptor, 4096, 0).split(b"\n", 2)
        if msgspec.json.decode(head, type=Owner) != owner:
            return None
        return max(int(position), _POSITION_BYTES + len(head) + 1)
    except (ValueError, msgspec.MsgspecError):
        return None  # another kind of file, or not completely written


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
