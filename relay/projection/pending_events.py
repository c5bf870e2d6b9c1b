"""Committed events of this process that are not folded yet, within a bound."""

from collections.abc import Sequence
from uuid import UUID

from relay.events import Event

# Half a second of a busy process. What is beyond is read back from the journal.
MAX_EVENTS = 20_000
MAX_BYTES = 16 * 2**20


class PendingEvents:
    """The newest committed events of each user, in seq order and without a hole."""

    def __init__(self) -> None:
        self._by_user: dict[UUID, list[Event]] = {}
        self.events = 0
        self.bytes = 0

    def add(self, user_id: UUID, events: list[Event]) -> bool:
        """Keep a user's next events. Returns False if there is no space: then none are kept.

        The list is not copied, so the caller must not change it afterwards.
        """
        size = sum([len(event.payload) for event in events])
        if self.events + len(events) > MAX_EVENTS or self.bytes + size > MAX_BYTES:
            self.drop(user_id)
            return False
        kept = self._by_user.get(user_id)
        if kept is not None and kept[-1].seq + 1 != events[0].seq:
            self.drop(user_id)  # another process stored events in between
            kept = None
        if kept is None:
            self._by_user[user_id] = events
        else:
            kept.extend(events)
        self.events += len(events)
        self.bytes += size
        return True

    def after(self, user_id: UUID, seq: int) -> Sequence[Event]:
        """The user's events after this seq, if they are kept from the next one on."""
        kept = self._by_user.get(user_id)
        if kept is None or kept[0].seq > seq + 1:
            return ()
        return kept[seq + 1 - kept[0].seq :]

    def drop(self, user_id: UUID, up_to: int | None = None) -> None:
        """Drop the user's events up to this seq; all of them if None."""
        kept = self._by_user.pop(user_id, None)
        if kept is None:
            return
        count = len(kept) if up_to is None else max(0, up_to + 1 - kept[0].seq)
        dropped, rest = kept[:count], kept[count:]
        self.events -= len(dropped)
        self.bytes -= sum([len(event.payload) for event in dropped])
        if rest:
            self._by_user[user_id] = rest

    def last_seq(self, user_id: UUID) -> int:
        """The seq of the user's last event that is kept; 0 if there is none."""
        kept = self._by_user.get(user_id)
        return kept[-1].seq if kept else 0
