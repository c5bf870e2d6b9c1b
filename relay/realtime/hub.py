"""Who listens to whom: publish reaches one user's inboxes and nothing else.

Plain functions over plain dictionaries: nothing here waits, so nothing here can be overtaken.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

import trio

from relay.errors import Draining, ProcessFull, TooManyConnections
from relay.observability import metrics
from relay.observability.logs import know
from relay.realtime.close_codes import Close
from relay.realtime.encoding import MAX_MESSAGE, Frame

INBOX_EVENTS = 256  # events a reader may be late before it is sent back to the journal
INBOX_BYTES = 2**20

Batch = Sequence[Frame]


class Inbox:
    """One reader's place in the hub: what waits for it, where it stands, and its end.

    `position` is the seq last written to the reader. `behind` means: read the journal from
    there, the inbox is not the whole story. After a hole, after an overflow, after a lost
    announcement, and at a start with anything to read: it is always the same. While a start is
    being found there is no `epoch`; what comes then makes it one with something to read.
    """

    __slots__ = (
        "_bytes",
        "_life",
        "_offered",
        "_waiting",
        "_woken",
        "address",
        "behind",
        "closing",
        "credential_id",
        "direct",
        "epoch",
        "position",
        "reading",
        "resting",
        "user_id",
    )

    def __init__(self, user_id: UUID, credential_id: UUID, address: str) -> None:
        self.user_id = user_id
        self.credential_id = credential_id
        self.address = address
        self.epoch = ""
        self.position = 0
        self.behind = True
        self.reading = False  # the journal: nobody else need read for this one
        self.closing: Close | None = None
        self._life: trio.CancelScope | None = None
        # writes a batch to the socket at once, or says no; set by a door that can
        self.direct: Callable[[Batch], bool] | None = None
        # the reader waits, with nothing on its way to it: only then may a write pass it by
        self.resting = False
        self._waiting: list[Frame] = []
        self._woken: trio.Event | None = None  # while its reader waits
        self._bytes = 0
        self._offered = 0

    def offer(self, frames: Batch, size: int) -> bool:
        """Hand over new events, in seq order. True when they are already on the wire.

        Commits here and news of commits elsewhere are not in step: the same events may be
        offered twice, or later ones first. What waits here is a stretch without a hole, always.
        """
        if self.behind:
            return False  # the journal has them, and the reader is on its way there
        if not self.epoch:
            self.fall_behind()  # the start that is being found may be older than these
            return False
        if frames[0].seq != self._offered + 1 and frames[0].epoch == self.epoch:
            frames = [frame for frame in frames if frame.seq > self.heard]
            if not frames:
                return False
            if self._offered and frames[0].seq != self.heard + 1:
                self.fall_behind()
                return False
            size = sum([frame.size for frame in frames])
        self._offered = frames[-1].seq
        if (
            self.resting
            and self.direct is not None
            and size + len(frames) + 1 <= MAX_MESSAGE  # as an array: brackets and commas
            and frames[0].seq == self.position + 1
            and frames[0].epoch == self.epoch
            and self.direct(frames)
        ):
            self.position = frames[-1].seq
            return True
        self._bytes += size
        if len(self._waiting) + len(frames) > INBOX_EVENTS or self._bytes > INBOX_BYTES:
            metrics.inbox_overflows.inc()
            self.fall_behind()
        else:
            self._waiting += frames
            self._wake()
        return False

    def start(self, epoch: str, seq: int, last: int) -> None:
        """The reader goes on from `seq`. The stream stood at `last`, after a `catch_up`."""
        self.epoch, self.position = epoch, seq
        self.behind = self.behind or seq < last
        self.reading = False

    @property
    def heard(self) -> int:
        """The seq up to which all was written or waits here, unless it is `behind`."""
        return max(self.position, self._offered)

    def fall_behind(self) -> None:
        """Send the reader to the journal."""
        self.behind = True
        self._wake()

    def _wake(self) -> None:
        self.resting = False
        if self._woken is not None:
            self._woken.set()

    async def take(self) -> list[Frame]:
        """Everything that waits, as soon as something does; who is behind does not wait."""
        if not (self._waiting or self.behind):
            self._woken, self.resting = trio.Event(), True
            try:
                await self._woken.wait()
            finally:
                self._woken, self.resting = None, False
        return self._rest()

    def catch_up(self) -> None:
        """The reader reads the journal now: what waits here is stored there already."""
        self._rest()
        self._offered = 0  # the next offer may begin anywhere: the read may reach up to it
        self.behind, self.reading = False, True

    def caught_up(self) -> None:
        """The reader wrote all it read, and nothing is missing before what waits here."""
        self.reading = False

    def _rest(self) -> list[Frame]:
        frames, self._waiting = self._waiting, []
        self._bytes = 0
        return frames

    def live_in(self, life: trio.CancelScope) -> None:
        """The stream lives in this scope: its end, or one that was said before, cancels it."""
        self._life = life
        if self.closing is not None:
            life.cancel()

    def end(self, close: Close) -> None:
        """End the stream; the first reason stands."""
        if self.closing is None:
            self.closing = close
            if self._life is not None:
                self._life.cancel()


class Hub:
    """The live streams of one process, within its bounds."""

    def __init__(self, *, most: int, most_per_user: int, most_per_address: int) -> None:
        self._most = most
        self._most_per_user = most_per_user
        self._most_per_address = most_per_address
        self._count = 0
        self._by_user: dict[UUID, set[Inbox]] = {}
        self._by_credential: dict[UUID, set[Inbox]] = {}
        self._by_address: dict[str, int] = {}
        self.draining = False
        self.drained = trio.Event()  # draining, and the last stream is gone

    def admit(self, user_id: UUID, address: str) -> None:
        """Raises ProcessFull, TooManyConnections or Draining: one more is one too many."""
        if self.draining:
            raise Draining()
        if self._count >= self._most:
            metrics.streams_refused.labels("process").inc()
            raise ProcessFull()
        if self.watchers(user_id) >= self._most_per_user:
            metrics.streams_refused.labels("user").inc()
            know(limit="streams_user")
            raise TooManyConnections("This user has as many live streams as it may have.")
        if self._by_address.get(address, 0) >= self._most_per_address:
            metrics.streams_refused.labels("address").inc()
            know(limit="streams_address")
            raise TooManyConnections("This address has as many live streams as it may have.")

    @contextmanager
    def subscribe(self, user_id: UUID, credential_id: UUID, address: str) -> Iterator[Inbox]:
        """An inbox for the length of the block. Raises like `admit`."""
        self.admit(user_id, address)
        inbox = Inbox(user_id, credential_id, address)
        self._by_user.setdefault(user_id, set()).add(inbox)
        self._by_credential.setdefault(credential_id, set()).add(inbox)
        self._by_address[address] = self._by_address.get(address, 0) + 1
        self._count += 1
        try:
            yield inbox
        finally:
            self._count -= 1
            self._notice_drained()
            _discard(self._by_user, user_id, inbox)
            _discard(self._by_credential, credential_id, inbox)
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    def publish(self, user_id: UUID, frames: Batch) -> bool:
        """Offer one user's new events to that user's readers.

        True when some reader has them on the wire already.
        """
        size = sum([frame.size for frame in frames])
        written = False
        for inbox in self._by_user.get(user_id, ()):
            written |= inbox.offer(frames, size)
        return written

    def recheck(self, user_id: UUID, last_seq: int | None = None) -> None:
        """Something may be stored that was never offered here: those not that far, read."""
        for inbox in self._by_user.get(user_id, ()):
            if last_seq is None or (not inbox.behind and inbox.heard < last_seq):
                inbox.fall_behind()

    def told(self, user_id: UUID) -> int | None:
        """How far this user's readers were told of its stream, the last of them.

        None when there is nobody to tell: no reader, or all at the journal or on their way there.
        """
        heard = [
            inbox.heard
            for inbox in self._by_user.get(user_id, ())
            if inbox.epoch and not (inbox.behind or inbox.reading)
        ]
        return min(heard, default=None)

    def end_credential(self, credential_id: UUID) -> None:
        """A credential was revoked: whatever it opened ends."""
        for inbox in list(self._by_credential.get(credential_id, ())):
            inbox.end(Close.REVOKED)

    def drain(self) -> list[Inbox]:
        """Admit nobody any more; returns who is still to be told."""
        self.draining = True
        self._notice_drained()
        return [inbox for inboxes in self._by_user.values() for inbox in inboxes]

    def _notice_drained(self) -> None:
        if self.draining and not self._count:
            self.drained.set()

    def users(self) -> list[UUID]:
        """Users with live streams."""
        return list(self._by_user)

    def counts(self) -> dict[UUID, int]:
        """How many live streams each user has here, of those that have any."""
        return {user_id: len(inboxes) for user_id, inboxes in self._by_user.items()}

    def credentials(self) -> list[UUID]:
        """The ids of the credentials that live streams were opened with."""
        return list(self._by_credential)

    def watchers(self, user_id: UUID) -> int:
        return len(self._by_user.get(user_id, ()))

    @property
    def count(self) -> int:
        return self._count


def _discard(index: dict[UUID, set[Inbox]], key: UUID, inbox: Inbox) -> None:
    inboxes = index[key]
    inboxes.discard(inbox)
    if not inboxes:
        del index[key]
