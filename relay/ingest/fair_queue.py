"""Limits how many publishing requests of one user are served at a time.

The process serves all connections in turn, so without a limit a user with many connections would
delay all other users. Further requests of a user wait in the order they came. The limit is higher
while no other user publishes: it delays no other user then, and events that come together are
committed and delivered together.
"""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import trio

from relay.errors import JournalFull
from relay.observability import metrics

TURNS = 2  # one commits while the next is parsed; more would slow other users
TURNS_ALONE = 16  # while no other user publishes; the next user waits a few milliseconds for them
ALONE_AFTER = 1.0  # since another user's last request
EVENTS_A_TURN = 128  # a batch of this many events takes two


class _Line:
    """One user's requests: how many slots are taken, and which requests wait."""

    __slots__ = ("taken", "waiting")

    def __init__(self) -> None:
        self.taken = 0
        self.waiting: deque[tuple[int, trio.Event]] = deque()

    def admit(self, most: int) -> None:
        """Admit waiting requests in order until `most` slots are taken."""
        while self.waiting and self.taken + self.waiting[0][0] <= most:
            turns, admitted = self.waiting.popleft()
            self.taken += turns
            admitted.set()


class Turns:
    """Limits each user's concurrent requests. A request waits at most `patience` seconds."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._lines: dict[UUID, _Line] = {}
        self._latest: UUID | None = None
        self._shared_until = 0.0

    @asynccontextmanager
    async def turn(self, user_id: UUID, events: int) -> AsyncIterator[None]:
        """Hold a slot for the length of the block; a large batch holds two.

        Raises JournalFull when no slot becomes free in time.
        """
        turns = min(TURNS, 1 + events // EVENTS_A_TURN)
        line = self._lines.setdefault(user_id, _Line())
        if user_id != self._latest or len(self._lines) > 1:
            self._latest, self._shared_until = user_id, trio.current_time() + ALONE_AFTER
        if not line.waiting and line.taken + turns <= self._most():
            line.taken += turns
        else:
            await self._wait(user_id, line, turns)
        try:
            yield
        finally:
            self._leave(user_id, line, turns)

    def _most(self) -> int:
        """The limit of slots for one user now."""
        return TURNS if trio.current_time() < self._shared_until else TURNS_ALONE

    async def _wait(self, user_id: UUID, line: _Line, turns: int) -> None:
        metrics.publish_waits.inc()
        place = (turns, trio.Event())
        line.waiting.append(place)
        entered = False
        try:
            with trio.fail_after(self._patience):
                await place[1].wait()
            entered = True
        except trio.TooSlowError:
            metrics.journal_full.inc()
            raise JournalFull("This user publishes more than can be stored.") from None
        finally:
            if not entered and place[1].is_set():  # admitted and cancelled at the same time
                self._leave(user_id, line, turns)
            elif not entered:
                line.waiting.remove(place)
                line.admit(self._most())  # the next request may need fewer slots

    def _leave(self, user_id: UUID, line: _Line, turns: int) -> None:
        line.taken -= turns
        line.admit(self._most())
        if not line.taken:  # then none waits either: a single request is always admitted
            del self._lines[user_id]
