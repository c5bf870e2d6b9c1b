"""Track which other processes are alive: those that were heard within some seconds."""

from uuid import UUID

import trio

ALIVE_SECONDS = 5.0  # each announces itself every second (`backplane.py`)
# Without a word. One that comes back after that writes what it has to the nodes at once.
GONE_SECONDS = 60.0


class Processes:
    """The other processes, by when they were heard last."""

    def __init__(self) -> None:
        self._heard_at: dict[UUID, float] = {}
        self._silent_since: dict[UUID, float] = {}  # of those that do not count any more

    def note(self, process_id: UUID) -> bool:
        """Note that this process was heard. Returns whether it is new."""
        new = process_id not in self._heard_at
        self._heard_at[process_id] = trio.current_time()
        self._silent_since.pop(process_id, None)
        return new

    def forget(self, process_id: UUID) -> None:
        """Note that this process has ended."""
        self._heard_at.pop(process_id, None)
        self._silent_since.pop(process_id, None)

    @property
    def none(self) -> bool:
        """Whether no other process is known; `count` forgets those that are silent."""
        return not self._heard_at

    def is_alive(self, process_id: UUID) -> bool:
        """Whether this process was heard lately."""
        heard_at = self._heard_at.get(process_id)
        return heard_at is not None and trio.current_time() - heard_at <= ALIVE_SECONDS

    def is_gone(self, process_id: UUID) -> bool:
        """Whether this process has ended or was not heard for `GONE_SECONDS`.

        It is true of one that was not heard yet, too: ask when all would have been heard by now.
        """
        return process_id not in self._heard_at and process_id not in self._silent_since

    def count(self) -> int:
        """How many are alive; the others are forgotten, those that are gone for good."""
        gone_before = trio.current_time() - GONE_SECONDS
        for process_id in [one for one in self._heard_at if not self.is_alive(one)]:
            self._silent_since[process_id] = self._heard_at.pop(process_id)
        for process_id in [one for one, at in self._silent_since.items() if at <= gone_before]:
            del self._silent_since[process_id]
        return len(self._heard_at)
