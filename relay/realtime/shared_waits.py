"""Lets many callers wait for rows to change, with one query for all of them.

A wait costs nothing while nothing happens: no query and no task switch of its own. A change in this
process wakes its callers at once. Changes of other processes are looked for when these announce
events, a few times a second at most, and otherwise once a second.
"""

from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import trio

from relay.db.pool import DATABASE_ERRORS
from relay.db.work_failures import WorkFailures
from relay.realtime.wait import Wait

POLL_INTERVAL_SECONDS = 1.0  # without an announcement: it may be lost
MIN_INTERVAL_SECONDS = 0.15  # between two queries, however many announcements come

Key = TypeVar("Key")


class SharedWaits(Generic[Key]):
    """Waits for keys, while `run` runs; `select` finds those of them that are over.

    Calls that wait are counted as streams, which bounds their number.
    """

    def __init__(self, select: Callable[[list[Key]], Awaitable[Collection[Key]]]) -> None:
        self._select = select
        self._waits: dict[Key, set[Wait]] = {}
        self._changed = trio.Event()
        self._failures = WorkFailures(
            "relay.shared_waits", waits="waits_wait", refused="waits_refused"
        )

    @property
    def count(self) -> int:
        """How many keys are waited for."""
        return len(self._waits)

    @contextmanager
    def expect(self, *keys: Key) -> Iterator[Wait]:
        """A wait for the length of the block, which ends when one of the keys is over."""
        wait = Wait()
        for key in keys:
            self._waits.setdefault(key, set()).add(wait)
        try:
            yield wait
        finally:
            for key in keys:
                waits = self._waits[key]
                waits.discard(wait)
                if not waits:
                    del self._waits[key]

    def wake(self, key: Key) -> None:
        """End the waits for this key."""
        for wait in self._waits.get(key, ()):
            wait.end()

    def touch(self) -> None:
        """Look soon: another process has stored something."""
        if self._waits:
            self._changed.set()

    async def run(self) -> None:
        """Look for keys that are over until cancelled."""
        while True:
            with trio.move_on_after(POLL_INTERVAL_SECONDS):
                await self._changed.wait()
            self._changed = trio.Event()  # before the look: what is announced after it counts
            if not self._waits:
                continue
            self._failures.begin_attempt()
            try:
                for key in await self._select(list(self._waits)):
                    self.wake(key)
            except DATABASE_ERRORS as error:
                self._failures.note(error)
            await trio.sleep(MIN_INTERVAL_SECONDS)
