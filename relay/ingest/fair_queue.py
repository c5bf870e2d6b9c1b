"""Fair turns: how many of one user's publishing requests are served at a time.

The process serves connections in turn, so a user with many connections would get that many turns,
and all other users would wait for them. Therefore each user has a fixed number of turns; further
requests of that user wait for one, in the order they came. While no other user publishes there
are more turns: they take nothing from others, and events that come together are committed and
delivered together.
"""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import trio

from relay.errors import JournalFull
from relay.observability import metrics

TURNS = 2  # of a user at a time: one commits while the next is read; more would slow other users
TURNS_ALONE = 16  # while no other user publishes: the next one waits a few milliseconds for them
ALONE_AFTER = 1.0  # seconds since another user's last request
EVENTS_A_TURN = 128  # a batch of so many takes both


class _Line:
    """One user's requests: those under way, and those that wait."""

    __slots__ = ("taken", "waiting")

    def __init__(self) -> None:
        self.taken = 0
        self.waiting: deque[tuple[int, trio.Event]] = deque()

    def admit(self, most: int) -> None:
        """Give turns to the requests that wait, in order, until `most` are taken."""
        while self.waiting and self.taken + self.waiting[0][0] <= most:
            turns, admitted = self.waiting.popleft()
            self.taken += turns
            admitted.set()


class Turns:
    """The turns of all users. `patience`: how many seconds a request may wait for its turn."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._lines: dict[UUID, _Line] = {}
        self._latest: UUID | None = None
        self._shared_until = 0.0

    @asynccontextmanager
    async def turn(self, user_id: UUID, events: int) -> AsyncIterator[None]:
        """Publish inside the block. Raises JournalFull when its turn does not come."""
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
        """Turns of a user, now."""
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
            if not entered and place[1].is_set():  # admitted, and cancelled in the same moment
                self._leave(user_id, line, turns)
            elif not entered:
                line.waiting.remove(place)
                line.admit(self._most())  # the request behind it may need fewer turns

    def _leave(self, user_id: UUID, line: _Line, turns: int) -> None:
        line.taken -= turns
        line.admit(self._most())
        if not line.taken:  # then none waits either: one request always fits
            del self._lines[user_id]
