"""One reader's place in the hub: its state, its position, what waits for it, and its end."""

from collections.abc import Callable, Sequence
from uuid import UUID

import trio

from relay.observability import metrics
from relay.realtime.close_codes import Close
from relay.realtime.encoding import MAX_MESSAGE, Frame
from relay.realtime.inbox_states import (
    BEHIND,
    BUSY,
    READING,
    RESTING,
    STARTING,
    TRANSITIONS,
    State,
    Trigger,
)

INBOX_EVENTS = 256  # events a reader may be late before it is sent back to the journal
INBOX_BYTES = 2**20

Batch = Sequence[Frame]
DirectWrite = Callable[[Batch], bool]
"""Write a batch to the socket at once and return True, or write nothing and return False."""

_ANYWHERE = -1  # while the journal is read, and nothing was offered: the next may be any seq
_WAKE, _REST = Trigger.WAKE, Trigger.REST  # the two of each event; a member's name is slow to find


class Inbox:
    """New events on their way to one reader, in seq order, each once and without a hole.

    The hub offers events, the reader's task takes them. `inbox_states.py` has the states: what
    the state does not allow raises RuntimeError, and changes nothing.

    While the inbox is live, everything up to `offered_seq` was written, is being written or
    waits here. Whatever would break that sends the reader to the journal.
    """

    __slots__ = (
        "_bytes",
        "_closing",
        "_direct",
        "_epoch",
        "_frames",
        "_life",
        "_offered",
        "_position",
        "_state",
        "_user_id",
        "_woken",
    )

    def __init__(self, user_id: UUID) -> None:
        self._user_id = user_id
        self._state = STARTING
        self._epoch = ""
        self._position = 0
        self._offered = _ANYWHERE
        self._frames: list[Frame] = []
        self._bytes = 0
        self._woken: trio.Event | None = None  # while the reader waits
        self._direct: DirectWrite | None = None
        self._closing: Close | None = None
        self._life: trio.CancelScope | None = None

    @property
    def user_id(self) -> UUID:
        """The user whose events come here."""
        return self._user_id

    @property
    def state(self) -> State:
        """The state in the table of `inbox_states.py`."""
        return self._state

    @property
    def behind(self) -> bool:
        """Whether the reader has to read the journal."""
        return self._state is BEHIND

    @property
    def live(self) -> bool:
        """Whether the reader gets new events from here, and needs no journal."""
        return self._state is RESTING or self._state is BUSY

    @property
    def epoch(self) -> str:
        """The epoch of the position; empty before `start`."""
        return self._epoch

    @property
    def position(self) -> int:
        """The seq last written to the reader."""
        return self._position

    @property
    def offered_seq(self) -> int:
        """The seq up to which all was written or waits here, if the inbox is live."""
        return max(self._position, self._offered)

    @property
    def closing(self) -> Close | None:
        """Why the stream ends; None while it does not."""
        return self._closing

    # -- the hub's side

    def offer(self, frames: Batch, size: int) -> bool:
        """Hand over new events, in seq order, `size` bytes in all. True when they are written.

        Commits here and news of commits elsewhere are not in step: the same events may be
        offered twice, or later ones first.
        """
        state = self._state
        if state is not RESTING and state is not BUSY and state is not READING:
            if state is STARTING:
                self.fall_behind()  # the head that is being looked up may be older than these
            return False  # the journal has them
        if frames[0].epoch != self._epoch:
            self.end(Close.RESTART)  # the numbering began anew: the client's cursor tells
            return False
        if frames[0].seq != self._offered + 1:
            frames = self._unoffered(frames)
            if not frames:
                return False
            size = sum([frame.size for frame in frames])
        self._offered = frames[-1].seq
        if (
            state is RESTING
            and self._direct is not None
            and size + len(frames) + 1 <= MAX_MESSAGE  # as an array: brackets and commas
            and self._direct(frames)
        ):
            self._position = self._offered
            return True
        self._enqueue(frames, size)
        return False

    def _unoffered(self, frames: Batch) -> Batch:
        """Those that were not offered before; none, and BEHIND, if there is a hole before them."""
        offered = self.offered_seq
        new = [frame for frame in frames if frame.seq > offered]
        if new and new[0].seq != offered + 1 and self._offered != _ANYWHERE:
            self.fall_behind()
            return ()
        return new

    def fall_behind(self) -> None:
        """Send the reader to the journal, which holds all that waits here."""
        self._clear()
        self._fire(Trigger.MISS)

    def end(self, close: Close) -> None:
        """End the stream; the first reason stands. Nothing is written directly any more."""
        if self._closing is None:
            self._closing = close
            self._direct = None
            self._clear()
            if self._life is not None:
                self._life.cancel()
            self._fire(Trigger.END)

    # -- the reader's side

    def start(self, epoch: str, seq: int, last: int) -> None:
        """The reader's position is `seq`; the stream went up to `last` when it was looked up."""
        self._fire(Trigger.START_EARLIER if seq < last else Trigger.START_LIVE)
        self._epoch = epoch
        self._position = self._offered = seq

    def live_in(self, life: trio.CancelScope) -> None:
        """Have `end` cancel this scope, at once if the stream ended before."""
        self._life = life
        if self._closing is not None:
            life.cancel()

    def use_direct_write(self, direct: DirectWrite) -> None:
        """Write with it, past the queue, whenever the reader rests."""
        self._direct = direct

    def begin_read(self) -> None:
        """The reader reads the journal from `position`: what waits here is stored there."""
        self._fire(Trigger.READ)
        self._clear()
        self._offered = _ANYWHERE

    def advance(self, seq: int) -> None:
        """The reader has written, or passed over, everything up to `seq`."""
        self._position = seq

    def finish_read(self) -> None:
        """The reader wrote all that the journal held. Live, unless something was missed since."""
        self._fire(Trigger.CATCH_UP)
        frames = [frame for frame in self._drain() if frame.seq > self._position]
        if frames and frames[0].seq != self._position + 1:
            self.fall_behind()
        else:
            self._offered = frames[-1].seq if frames else self._position
            self._enqueue(frames, sum([frame.size for frame in frames]))

    async def take(self) -> list[Frame]:
        """All that waits, as soon as there is something: what comes next after the position.

        Nothing if the reader is behind, or becomes it meanwhile. After `end` it waits to be
        cancelled.
        """
        if not (self._frames or self._state is BEHIND):
            self._fire(_REST)
            self._woken = trio.Event()
            try:
                await self._woken.wait()
            finally:
                self._woken = None
                if self._state is RESTING:
                    self._fire(_WAKE)
        return self._drain()

    # -- what waits, and the state

    def _enqueue(self, frames: Batch, size: int) -> None:
        """Have them wait, all or, with what waits already, none."""
        self._bytes += size
        if len(self._frames) + len(frames) > INBOX_EVENTS or self._bytes > INBOX_BYTES:
            metrics.inbox_overflows.inc()
            self.fall_behind()
        else:
            self._frames += frames
            if self._state is RESTING:
                self._fire(_WAKE)

    def _drain(self) -> list[Frame]:
        frames, self._frames, self._bytes = self._frames, [], 0
        return frames

    def _clear(self) -> None:
        self._frames.clear()
        self._bytes = 0

    def _fire(self, trigger: Trigger) -> None:
        """Move on, and wake the reader if it waits."""
        try:
            self._state = TRANSITIONS[self._state][trigger]
        except KeyError:
            raise RuntimeError(f"an inbox that is {self._state} cannot {trigger}") from None
        if self._woken is not None:
            self._woken.set()
