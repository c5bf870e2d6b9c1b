"""Limits how many publishing requests of one user are served at a time, and the memory of all.

The process serves all connections in turn, so without a limit a user with many connections would
delay all other users. Further requests of a user wait in the order they came. The limit is higher
while no other user publishes: it delays no other user then, and events that come together are
committed and delivered together.

A request's body is in memory until its events are stored, so the bodies are counted from here on.
Those of a user may take as much as is left to all: one user alone gets a half, two a third each.
However many a user sends, there is room for the next user's.
"""

from collections import deque
from uuid import UUID

import trio

from relay.errors import JournalFull
from relay.observability import metrics

SLOTS = 2  # one commits while the next is parsed; more would slow other users
SLOTS_ALONE = 16  # while no other user publishes; the next user waits a few milliseconds for them
ALONE_AFTER_SECONDS = 1.0  # since another user's last request
EVENTS_PER_SLOT = 128  # a batch of this many events takes two


class _UserQueue:
    """One user's requests: the bytes of their bodies, the slots taken, and which of them wait."""

    __slots__ = ("bytes", "taken", "waiting")

    def __init__(self) -> None:
        self.bytes = 0
        self.taken = 0
        self.waiting: deque[tuple[int, trio.Event]] = deque()

    def admit(self, slot_limit: int) -> None:
        """Admit waiting requests in order until `slot_limit` slots are taken."""
        while self.waiting and self.taken + self.waiting[0][0] <= slot_limit:
            slots, admitted = self.waiting.popleft()
            self.taken += slots
            admitted.set()


class UserConcurrencyLimit:
    """Limits each user's concurrent requests. A request waits at most `timeout` seconds.

    `max_bytes` bounds the bodies of all requests that wait or hold a slot.
    """

    def __init__(self, timeout: float, max_bytes: int) -> None:
        self._timeout = timeout
        self._bytes_left = max_bytes
        self._queues: dict[UUID, _UserQueue] = {}
        self._latest: UUID | None = None
        self._shared_until = 0.0

    def slot(self, user_id: UUID, events: int, size: int) -> "Slot":
        """Hold a slot for the length of an `async with` block; a large batch holds two.

        `size` is that of the body. Entering it raises JournalFull at once when there is no room for
        the body, and when no slot becomes free in time.
        """
        return Slot(self, user_id, min(SLOTS, 1 + events // EVENTS_PER_SLOT), size)

    async def enter(self, user_id: UUID, slots: int, size: int) -> _UserQueue:
        """Take a user's slots, and return the queue for `leave`. Raises JournalFull."""
        queue = self._queues.get(user_id) or _UserQueue()
        if queue.bytes + size > self._bytes_left:
            metrics.journal_full.inc()
            raise JournalFull()
        self._queues[user_id] = queue
        queue.bytes += size
        self._bytes_left -= size
        if user_id != self._latest or len(self._queues) > 1:
            self._latest, self._shared_until = user_id, trio.current_time() + ALONE_AFTER_SECONDS
        taken = queue.taken + slots
        if not queue.waiting and (taken <= SLOTS or taken <= self._slot_limit()):
            queue.taken = taken
        else:
            await self._wait(user_id, queue, slots, size)
        return queue

    def leave(self, user_id: UUID, queue: _UserQueue, slots: int, size: int) -> None:
        """Give the slots back, to the requests that wait."""
        self._release(queue, size)
        queue.taken -= slots
        if queue.waiting:
            queue.admit(self._slot_limit())
        if not queue.taken:  # then none waits either: a single request is always admitted
            del self._queues[user_id]

    def _release(self, queue: _UserQueue, size: int) -> None:
        """Count a body no longer."""
        queue.bytes -= size
        self._bytes_left += size

    def _slot_limit(self) -> int:
        """The limit of slots for one user now."""
        return SLOTS if trio.current_time() < self._shared_until else SLOTS_ALONE

    async def _wait(self, user_id: UUID, queue: _UserQueue, slots: int, size: int) -> None:
        metrics.publish_waits.inc()
        entry = (slots, trio.Event())
        queue.waiting.append(entry)
        entered = False
        try:
            with trio.fail_after(self._timeout):
                await entry[1].wait()
            entered = True
        except trio.TooSlowError:
            metrics.journal_full.inc()
            raise JournalFull("This user publishes more than can be stored.") from None
        finally:
            if not entered and entry[1].is_set():  # admitted and cancelled at the same time
                self.leave(user_id, queue, slots, size)
            elif not entered:
                self._release(queue, size)
                queue.waiting.remove(entry)
                queue.admit(self._slot_limit())  # the next request may need fewer slots


class Slot:
    """The slots of one request, from entering an `async with` block to leaving it."""

    __slots__ = ("_limit", "_queue", "_size", "_slots", "_user_id")

    _queue: _UserQueue

    def __init__(self, limit: UserConcurrencyLimit, user_id: UUID, slots: int, size: int) -> None:
        self._limit = limit
        self._user_id = user_id
        self._slots = slots
        self._size = size

    async def __aenter__(self) -> None:
        self._queue = await self._limit.enter(self._user_id, self._slots, self._size)

    async def __aexit__(self, *_failure: object) -> None:
        self._limit.leave(self._user_id, self._queue, self._slots, self._size)
