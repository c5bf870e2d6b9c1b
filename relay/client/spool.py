"""What waits on disk while Relay is away: one file a process, sent on by whoever comes next.

The first line is how far the file has been delivered, the second whose it is, the rest events.
Whoever holds the file's lock works on it; the lock ends with its process. Only its owner may
read the file: it holds what was logged.
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

FILE_MOST = 64 * 2**20  # bytes; a few hours of a chatty build, and nobody's disk is filled by it
FOLDER_MOST = 256 * 2**20  # bytes; of all files together
RESERVE = 2**20  # bytes; beyond FILE_MOST, for what is under way and how tasks began and ended
KEPT_FOR = 30 * 86_400  # seconds; who has not come back by then will not

_PLACE = 20  # bytes of the first line: nineteen digits and a newline


class Owner(msgspec.Struct, frozen=True):
    """Whose events a file holds: they are delivered there, or not at all."""

    url: str
    user: str

    @classmethod
    def of(cls, credentials: Credentials) -> "Owner":
        return cls(credentials.url, credentials.owner)


def spool_folder() -> Path:
    return platformdirs.user_state_path("relay") / "spool"


class Spool:
    """A file of events in order: added at its end, taken from its head. Not for two threads."""

    def __init__(self, path: Path, descriptor: int, first: int, room: int = 0) -> None:
        self.path = path
        self._descriptor = descriptor
        self._first = first
        self._end = os.fstat(descriptor).st_size
        self._next = min(first, self._end)
        self._room = room

    @property
    def waiting(self) -> int:
        """Bytes that are not delivered yet."""
        return self._end - self._next

    def add(self, line: bytes, *, important: bool = False) -> bool:
        """Keep an event; False when the bound is reached. Raises OSError, and has not kept it."""
        if self._end + len(line) > self._room + (RESERVE if important else 0):
            return False
        written = os.pwrite(self._descriptor, line, self._end)
        if written < len(line):
            os.ftruncate(self._descriptor, self._end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._end += written
        return True

    def head(self, most_lines: int, most_bytes: int) -> list[bytes]:
        """The next events, at least one where there is one."""
        block = os.pread(self._descriptor, min(self.waiting, most_bytes), self._next)
        lines = block.splitlines(keepends=True)[:most_lines]
        if lines and not lines[-1].endswith(b"\n"):
            lines.pop()  # cut here, or never written whole by a process that died
        if not lines:
            self._next = self._end
        return lines

    def drop(self, lines: Iterable[bytes]) -> None:
        """These were the next ones and are done with."""
        self._next += sum(map(len, lines))
        if not self.waiting:
            os.ftruncate(self._descriptor, self._first)
            self._next = self._end = self._first
        os.pwrite(self._descriptor, b"%019d\n" % self._next, 0)

    def close(self) -> None:
        """Leave the file to whoever comes next, or delete it when nothing waits in it."""
        if self._descriptor < 0:
            return
        if not self.waiting:
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = -1


def new_spool(owner: Owner, folder: Path | None = None) -> Spool:
    """A file of this process' own. Raises OSError."""
    folder = folder or spool_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    taken = sum(_size(path) for path in folder.glob("*.ndjson"))
    path = folder / f"{time.time_ns():020d}-{os.getpid()}-{secrets.token_hex(4)}.ndjson"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        head = msgspec.json.encode(owner) + b"\n"
        os.pwrite(descriptor, b"%019d\n" % (_PLACE + len(head)) + head, 0)
    except OSError:
        path.unlink(missing_ok=True)
        os.close(descriptor)
        raise
    return Spool(path, descriptor, _PLACE + len(head), max(0, min(FILE_MOST, FOLDER_MOST - taken)))


def left_over(owner: Owner, folder: Path | None = None) -> Iterator[Spool]:
    """The files that dead processes left for this owner, the oldest first; each is ours to end."""
    for path in sorted((folder or spool_folder()).glob("*.ndjson")):
        with suppress(OSError):
            if (spool := _adopt(path, owner)) is not None:
                yield spool


def _adopt(path: Path, owner: Owner) -> Spool | None:
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    ours = False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: somebody's
        status = os.fstat(descriptor)
        if status.st_nlink == 0 or status.st_uid != os.getuid():
            return None  # delivered by another a moment ago, or not ours at all
        if time.time() - status.st_mtime > KEPT_FOR:
            path.unlink(missing_ok=True)
            return None
        place, head, *_ = os.pread(descriptor, 4096, 0).split(b"\n", 2)
        if msgspec.json.decode(head, type=Owner) != owner:
            return None
        ours = True
        return Spool(path, descriptor, max(int(place), _PLACE + len(head) + 1))
    except (ValueError, msgspec.MsgspecError):
        return None  # not a file of this kind, or of a process that died making it
    finally:
        if not ours:
            os.close(descriptor)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
