"""The events that ended processes left over: file after file, the oldest first.

The events of a task keep their order over all files, and before those of this process: a start that
is stored after a later run's would end that run.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

import msgspec

from relay.client.spool import (
    Owner,
    Spool,
    adopt,
    delivered_up_to,
    left_over_files,
    read_waiting,
)

HELD_SECONDS = 30.0  # without a delivery; longer than one request of the process that holds a file

Tasks = frozenset[str | None]  # ids of tasks; None stands for events without one


class _Event(msgspec.Struct):
    """What is read of an event."""

    task_id: str | None = None


class LeftOver:
    """The files of one owner that were there at the start.

    At most one is open, and only while it is sent: another process may be waiting for it.
    """

    def __init__(
        self,
        owner: Owner,
        folder: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._owner = owner
        self._clock = clock
        self._files = {path: self._tasks_in(path) for path in left_over_files(folder)}
        self._held: dict[Path, tuple[int, float]] = {}  # position, and since when it is there
        self._current: Spool | None = None

    def _tasks_in(self, path: Path) -> Tasks:
        with suppress(OSError):
            return frozenset(map(_task_of, read_waiting(path, self._owner)))
        return frozenset()

    def comes_before(self, line: bytes) -> bool:
        """Whether a file has events that are to be stored before this one: of the same task."""
        return not self.sendable([line])

    def sendable(self, lines: list[bytes]) -> list[bytes]:
        """The first of these events, up to one that a file comes before."""
        if not self._files:
            return lines
        named = frozenset[str | None]().union(*self._files.values())
        return list(takewhile(lambda line: _task_of(line) not in named, lines))

    def file(self, before: bytes | None = None) -> Spool | None:
        """Open the file whose turn it is, of all or of those that come before an event.

        None if there is no more, or if another process works on it.
        """
        held: Tasks = frozenset()
        for path in self._wanted(before):
            tasks = self._files[path]
            if self._current is not None and self._current.path == path:
                return self._current
            if tasks & held or not self._try_open(path):
                held |= tasks  # another process has not delivered it yet
            elif self._current is not None:
                return self._current
            else:
                del self._files[path]
        return None

    def _try_open(self, path: Path) -> bool:
        """Open a file, if it is there and this owner's. False while another process sends it."""
        self.release()
        try:
            self._current = adopt(path, self._owner)
        except BlockingIOError:
            return not self._is_under_way(path)
        except OSError:
            return True  # delivered, or it cannot be read
        return True

    def _wanted(self, before: bytes | None) -> list[Path]:
        """The oldest first. What comes before an event is also what comes before such a file."""
        if before is None:
            return list(self._files)
        wanted: list[Path] = []
        tasks: Tasks = frozenset((_task_of(before),))
        for path, named in reversed(self._files.items()):
            if named & tasks:
                tasks |= named
                wanted.append(path)
        return wanted[::-1]

    def _is_under_way(self, path: Path) -> bool:
        """Whether the process that holds a file may be delivering it.

        One that lives and delivers nothing must not hold up this one for ever.
        """
        position = None
        with suppress(OSError):
            position = delivered_up_to(path, self._owner)
        if position is None:
            return False
        now = self._clock()
        before, since = self._held.get(path, (position, now))
        since = since if position == before else now
        self._held[path] = position, since
        return now - since <= HELD_SECONDS

    def release(self) -> None:
        """Close the file that is open. It is deleted if all of it was delivered."""
        if self._current is not None:
            self._current.close()
            self._current = None

    def finish(self) -> None:
        """Close the file that is open, and leave it alone from now on."""
        if self._current is not None:
            self._files.pop(self._current.path, None)
        self.release()


def _task_of(line: bytes) -> str | None:
    with suppress(msgspec.MsgspecError, UnicodeDecodeError):  # a line that is not whole
        return msgspec.json.decode(line, type=_Event).task_id
    return None
