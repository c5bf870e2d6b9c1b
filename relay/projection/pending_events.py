"""Committed events of this process that are not folded yet, within a bound.

They are joined as soon as there are many, so a busy user takes little memory.
"""

from itertools import chain
from uuid import UUID

import msgspec

from relay.events import Event
from relay.tasks.fold import add_to_tasks
from relay.tasks.segments import Segment

# Events of one user that are joined at once, by number and by their payloads: about a millisecond,
# and more where the payloads have many metrics.
JOIN_EVENTS = 1_000
JOIN_BYTES = 256 * 2**10
# What is beyond is read back from the journal.
MAX_EVENTS = 50_000
MAX_BYTES = 16 * 2**20


class History(msgspec.Struct):
    """Successive events of one user, without a hole: `tasks`, and those in `events` after them."""

    first_seq: int
    last_seq: int
    events: list[Event] = []
    tasks: dict[str, list[Segment]] = {}
    count: int = 0
    size: int = 0  # bytes of what the events and tasks hold

    def join_some(self) -> bool:
        """Join the next events, as many as take little time; returns whether there are more."""
        count = size = 0
        while count < min(JOIN_EVENTS, len(self.events)) and size < JOIN_BYTES:
            size += len(self.events[count].payload)
            count += 1
        add_to_tasks(self.tasks, self.events[:count])
        self.events = self.events[count:]
        return bool(self.events)


class PendingEvents:
    """The newest committed events of each user, as far as they are not taken."""

    def __init__(self) -> None:
        self._by_user: dict[UUID, History] = {}
        self._many: dict[UUID, None] = {}  # users whose events should be joined
        self.events = 0
        self.bytes = 0

    def add(self, user_id: UUID, events: list[Event]) -> bool:
        """Keep a user's next events. Returns False if there is no space: then none are kept."""
        history = self._by_user.get(user_id)
        if history is not None and history.last_seq + 1 != events[0].seq:
            self.take(user_id)  # another process stored events in between
            history = None
        size = sum([len(event.payload) for event in events])
        if self.events + len(events) > MAX_EVENTS or self.bytes + size > MAX_BYTES:
            self.take(user_id)
            return False
        if history is None:
            history = self._by_user[user_id] = History(events[0].seq, events[-1].seq)
        history.last_seq = events[-1].seq
        history.events += events
        history.count += len(events)
        history.size += size
        self.events += len(events)
        self.bytes += size
        if len(history.events) >= JOIN_EVENTS:
            self._many[user_id] = None
        return True

    @property
    def has_many(self) -> bool:
        """Whether a user has so many events that they should be joined."""
        return bool(self._many)

    def join_many(self) -> None:
        """Join some events of one user that has many."""
        user_id = next(iter(self._many))
        history = self._by_user.get(user_id)
        if history is not None and history.join_some():
            return
        del self._many[user_id]
        if history is not None:
            self._count_joined(history)

    def _count_joined(self, history: History) -> None:
        """Count what a user's events take now that all are joined."""
        segments = list(chain.from_iterable(history.tasks.values()))
        count = len(segments)
        size = sum([len(one.payload) if isinstance(one, Event) else one.size for one in segments])
        self.events += count - history.count
        self.bytes += size - history.size
        history.count, history.size = count, size

    def take(self, user_id: UUID) -> History | None:
        """Remove what is kept of the user, and return it."""
        history = self._by_user.pop(user_id, None)
        if history is not None:
            self.events -= history.count
            self.bytes -= history.size
        return history

    def last_seq(self, user_id: UUID) -> int:
        """The seq of the user's last event that is kept; 0 if there is none."""
        history = self._by_user.get(user_id)
        return 0 if history is None else history.last_seq
