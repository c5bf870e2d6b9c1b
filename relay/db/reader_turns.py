"""Lets only some readers read at a time, and only some of each user.

Many that reconnect, or look through long streams, so leave database connections to commits and
lookups. And a user with many readers delays those of other users by a few turns only.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import trio

from relay.errors import DatabaseAway, Problem, RateLimited, Unavailable

# Of calls that read, each of which may hold a connection for a tenth of a second. It is as many as
# may read events with the default of RELAY_DATABASE_CONNECTIONS.
MAX_CALLS_OF_USER = 3


class UserTurnMissed(RateLimited):
    """A reader had no turn in time, because of its user's other readers."""


NO_TURN = (UserTurnMissed, Unavailable)


class ReaderTurns:
    """Turns for `of_user` readers of each user at a time, and for `of_all` of all together.

    The others wait in two lines, in each for `timeout` seconds: first for the same user's readers,
    then for those of all. So of each other user at most `of_user` are before a reader.
    """

    def __init__(self, of_user: int, of_all: float, timeout: float) -> None:
        self._of_user = of_user
        self._all = trio.CapacityLimiter(of_all)
        self._users: dict[UUID, trio.CapacityLimiter] = {}
        self._timeout = timeout
        self._read = 0  # turns that ended with an answer of the database
        self.waiting = 0  # readers in line

    @asynccontextmanager
    async def turn(self, user_id: UUID) -> AsyncIterator[None]:
        """Hold a turn for the length of the block.

        Raises UserTurnMissed when it waited too long for the user's other readers, and Unavailable
        when it did for those of all. If no reader has read anything meanwhile, the database does
        not answer: DatabaseAway.
        """
        own = self._users.setdefault(user_id, trio.CapacityLimiter(self._of_user))
        try:
            async with self._place(own, self._own_missed), self._place(self._all, _missed):
                yield
                self._read += 1
        finally:
            # Where none holds a place, none waits either. A reader that was cancelled as the last
            # one left may find the user gone, or with new places.
            if not own.borrowed_tokens and self._users.get(user_id) is own:
                del self._users[user_id]

    @asynccontextmanager
    async def _place(
        self, places: trio.CapacityLimiter, missed: Callable[[], Problem]
    ) -> AsyncIterator[None]:
        """Hold one of these places for the length of the block. Raises `missed()`."""
        try:
            places.acquire_nowait()
        except trio.WouldBlock:
            await self._wait(places, missed)
        try:
            yield
        finally:
            places.release()

    async def _wait(self, places: trio.CapacityLimiter, missed: Callable[[], Problem]) -> None:
        self.waiting += 1
        read = self._read
        try:
            with trio.move_on_after(self._timeout) as in_line:
                await places.acquire()
        finally:
            self.waiting -= 1
        if in_line.cancelled_caught:
            raise DatabaseAway() if read == self._read else missed()

    def _own_missed(self) -> Problem:
        return UserTurnMissed(
            f"This user has {self._of_user} reads under way, and others were before this one."
            " Try again."
        )


def _missed() -> Problem:
    return Unavailable("More is read here at a time than this process can. Try again.")
