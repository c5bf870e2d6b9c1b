"""The queue of new events for one reader, with its state, its position and its close reason."""

from collections.abc import Callable, Sequence
from uuid import UUID

import trio

from relay.observability import metrics
from relay.realtime.batch import Batch
from relay.realtime.close_codes import Close
from relay.realtime.encoding import MAX_MESSAGE_BYTES, EncodedEvent
from relay.realtime.inbox_states import (
    BEHIND,
    BUSY,
    READING,
    RESTING,
    STARTING,
    TRANSITIONS,
    InboxState,
    Trigger,
)

INBOX_EVENTS = 256  # queued events; a reader that is later than that reads the journal
INBOX_BYTES = 2**20

Events = Sequence[EncodedEvent]
DirectWrite = Callable[[Batch], bool]
"""Write a batch to the socket at once and return True, or write nothing and return False."""

_ANY_SEQ = -1  # the journal is being read and nothing was offered: the next may have any seq
_WAKE, _REST = Trigger.WAKE, Trigger.REST  # fired for each event; looking up members is slow


class Inbox:
    """Queues new events for one reader, in seq order, each once and without a hole.

    The hub offers events, the reader's task takes them. The states are in `inbox_states.py`; a
    call that the state does not allow raises RuntimeError and changes nothing.

    While the inbox is live, every event up to `offered_seq` was written, is being written or is
    queued here. Where that cannot be kept, the inbox becomes BEHIND and its reader reads the
    journal.
    """

    __slots__ = (
        "_bytes",
        "_closing",
        "_epoch",
        "_events",
        "_interrupted",
        "_offered",
        "_position",
        "_scope",
        "_state",
        "_user_id",
        "_wake_up",
        "_write_now",
    )

    def __init__(self, user_id: UUID) -> None:
        self._user_id = user_id
        self._state = STARTING
        self._epoch = ""
        self._position = 0
        self._offered = _ANY_SEQ
        self._events: list[EncodedEvent] = []
        self._bytes = 0
        self._interrupted = False  # since the last `take`
        self._wake_up: trio.Event | None = None  # while the reader waits
        self._write_now: DirectWrite | None = None
        self._closing: Close | None = None
        self._scope: trio.CancelScope | None = None

    @property
    def user_id(self) -> UUID:
        """The owner of the events that are queued here."""
        return self._user_id

    @property
    def state(self) -> InboxState:
        """The current state, one of `inbox_states.py`."""
        return self._state

    @property
    def behind(self) -> bool:
        """Whether the reader has to read the journal."""
        return self._state is BEHIND

    @property
    def live(self) -> bool:
        """Whether the reader gets new events from here and need not read the journal."""
        return self._state is RESTING or self._state is BUSY

    @property
    def epoch(self) -> str:
        """The epoch of the position; empty before `start` is called."""
        return self._epoch

    @property
    def position(self) -> int:
        """The seq of the last event that was written to the reader."""
        return self._position

    @property
    def offered_seq(self) -> int:
        """The seq up to which every event was written or is queued, if the inbox is live."""
        return max(self._position, self._offered)

    @property
    def closing(self) -> Close | None:
        """Why the stream ends; None while it is open."""
        return self._closing

    # -- called by the hub

    def offer(self, batch: Batch) -> bool:
        """Offer new events in seq order. Returns True if they were written.

        Local commits and announcements of remote commits are not synchronised: events may be
        offered twice, and later ones before earlier ones.
        """
        state = self._state
        if state is not RESTING and state is not BUSY and state is not READING:
            if state is STARTING:
                self.fall_behind()  # the head being looked up may not include these events
            return False  # the reader gets them from the journal
        events = batch.events
        if events[0].epoch != self._epoch:
            # The journal knows whether the epoch is a new one, or an old one's events are replayed.
            self.fall_behind()
            return False
        if events[0].seq != self._offered + 1:
            events = self._without_offered(events)
            if not events:
                return False
            batch = Batch(events, batch.at)
        self._offered = events[-1].seq
        if (
            state is RESTING
            and self._write_now is not None
            and batch.size + len(events) + 1 <= MAX_MESSAGE_BYTES  # as an array, with its commas
            and self._write_now(batch)
        ):
            self._position = self._offered
            return True
        self._enqueue(events, batch.size)
        return False

    def _without_offered(self, events: Events) -> Events:
        """The events that were not offered before.

        If events are missing before them, the inbox becomes BEHIND and none are returned.
        """
        offered = self.offered_seq
        new = [event for event in events if event.seq > offered]
        if new and new[0].seq != offered + 1 and self._offered != _ANY_SEQ:
            self.fall_behind()
            return ()
        return new

    def fall_behind(self) -> None:
        """Drop the queued events and make the reader read the journal, which has them."""
        self._clear()
        self._fire(Trigger.MISS)

    def interrupt(self) -> None:
        """Make `take` return, now or when it is called: the reader has something else to send."""
        self._interrupted = True
        if self._state is RESTING:
            self._fire(_WAKE)

    def end(self, close: Close) -> None:
        """End the stream. The first reason is kept; from then on `offer` writes nothing."""
        if self._closing is None:
            self._closing = close
            self._write_now = None
            self._clear()
            if self._scope is not None:
                self._scope.cancel()
            self._fire(Trigger.END)

    # -- called by the reader's task

    def start(self, epoch: str, seq: int, last: int) -> None:
        """Set the reader's position to `seq`; `last` was the stream's last seq at the lookup."""
        self._fire(Trigger.START_EARLIER if seq < last else Trigger.START_LIVE)
        self._epoch = epoch
        self._position = self._offered = seq

    def bind_scope(self, scope: trio.CancelScope) -> None:
        """Make `end` cancel this scope; cancel it at once if the stream has already ended."""
        self._scope = scope
        if self._closing is not None:
            scope.cancel()

    def use_direct_write(self, write_now: DirectWrite) -> None:
        """Let `offer` write with this function while the reader rests, without queueing."""
        self._write_now = write_now

    def begin_read(self) -> None:
        """Note that the journal is being read from `position`; drop events that it has."""
        self._fire(Trigger.READ)
        self._clear()
        self._offered = _ANY_SEQ

    def advance(self, seq: int) -> None:
        """Note that the reader has written or skipped everything up to `seq`."""
        self._position = seq

    def finish_read(self) -> None:
        """Note that the journal is read to its end: go live, unless an event was missed since."""
        self._fire(Trigger.CATCH_UP)
        events = [event for event in self._drain() if event.seq > self._position]
        if events and events[0].seq != self._position + 1:
            self.fall_behind()
        else:
            self._offered = events[-1].seq if events else self._position
            self._enqueue(events, sum([event.size for event in events]))

    async def take(self) -> list[EncodedEvent]:
        """Wait for queued events and return all of them, the next after the position first.

        Returns none if the reader is behind or falls behind meanwhile, or is interrupted. After
        `end` it waits until it is cancelled.
        """
        if not (self._events or self._interrupted or self._state is BEHIND):
            self._fire(_REST)
            self._wake_up = trio.Event()
            try:
                await self._wake_up.wait()
            finally:
                self._wake_up = None
                if self._state is RESTING:
                    self._fire(_WAKE)
        self._interrupted = False
        return self._drain()

    # -- the queue and the state

    def _enqueue(self, events: Events, size: int) -> None:
        """Queue the events, or fall behind if the queue would exceed its bounds."""
        self._bytes += size
        if len(self._events) + len(events) > INBOX_EVENTS or self._bytes > INBOX_BYTES:
            metrics.inbox_overflows.inc()
            self.fall_behind()
        else:
            self._events += events
            if self._state is RESTING:
                self._fire(_WAKE)

    def _drain(self) -> list[EncodedEvent]:
        events, self._events, self._bytes = self._events, [], 0
        return events

    def _clear(self) -> None:
        self._events.clear()
        self._bytes = 0

    def _fire(self, trigger: Trigger) -> None:
        """Change the state, and wake the reader if it waits."""
        try:
            self._state = TRANSITIONS[self._state][trigger]
        except KeyError:
            raise RuntimeError(f"an inbox that is {self._state} cannot {trigger}") from None
        if self._wake_up is not None:
            self._wake_up.set()
