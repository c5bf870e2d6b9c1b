"""Lets many callers wait for rows to change, with one query for all of them.

A wait costs nothing while nothing happens: no query and no task switch of its own. A change in this
process wakes its callers at once. Changes of other processes are looked for when these announce
events, a few times a second at most, and otherwise once a second.

A call that waits usually comes back as soon as its time is over. So a key is kept until the look
after its last wait: a call that comes back before that needs no query of its own, because no look
has passed over its key.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Generic, TypeVar

import trio

from relay.db.work_failures import WorkFailures
from relay.realtime.wait import Wait

POLL_INTERVAL_SECONDS = 1.0  # without an announcement: it may be lost
MIN_INTERVAL_SECONDS = 0.15  # between two queries, however many announcements come
TRUST_SECONDS = 2.5  # that a look is trusted: two looks may be slow

Key = TypeVar("Key")
State = TypeVar("State")


class _Expected(Generic[State]):
    """A key that calls wait for, or waited for since the last look; `state`: as it was found."""

    __slots__ = ("state", "waits")

    def __init__(self) -> None:
        self.waits: list[Wait] = []
        self.state: State | None = None


class SharedWaits(Generic[Key, State]):
    """Waits for keys, while `run` runs; `select` finds those of them that are over.

    Calls that wait are counted as streams, which bounds their number.
    """

    def __init__(self, select: Callable[[list[Key]], Awaitable[Collection[Key]]]) -> None:
        self._select = select
        self._expected: dict[Key, _Expected[State]] = {}
        self._looked_at = float("-inf")  # trio's time of the start of the last look that succeeded
        self._changed = trio.Event()
        self._failures = WorkFailures(
            "relay.shared_waits", waits="waits_wait", refused="waits_refused"
        )

    @property
    def is_current(self) -> bool:
        """Whether the last look is recent, so that what it did not find over is not over."""
        return trio.current_time() - self._looked_at <= TRUST_SECONDS

    def expect(self, wait: Wait, keys: Iterable[Key]) -> None:
        """End this wait when one of the keys is over, until `forget` with the same ones."""
        for key in keys:
            expected = self._expected.get(key)
            if expected is None:
                expected = self._expected[key] = _Expected()
            expected.waits.append(wait)

    def forget(self, wait: Wait, keys: Iterable[Key]) -> None:
        """End `expect`."""
        for key in keys:
            expected = self._expected[key]
            expected.waits.remove(wait)
            if not expected.waits and expected.state is None:
                del self._expected[key]

    def note(self, wait: Wait, key: Key, state: State) -> None:
        """Note the state of a key as it was found after `expect`; not if it has ended since."""
        if not wait.is_over:
            self._expected[key].state = state

    def find_state(self, key: Key) -> State | None:
        """The state that was noted of a key which is not over, as of the last look at least.

        None if it is not known. Call it after `expect`.
        """
        expected = self._expected.get(key)
        return expected.state if expected is not None and self.is_current else None

    def wake(self, key: Key) -> None:
        """End the waits for this key: it is over."""
        expected = self._expected.get(key)
        if expected is None:
            return
        expected.state = None
        for wait in expected.waits:
            wait.end()
        if not expected.waits:
            del self._expected[key]

    def touch(self) -> None:
        """Look soon: another process has stored something."""
        if self._expected:
            self._changed.set()

    async def run(self) -> None:
        """Look for keys that are over until cancelled."""
        while True:
            with trio.move_on_after(POLL_INTERVAL_SECONDS):
                await self._changed.wait()
            self._changed = trio.Event()  # before the look: what is announced after it counts
            began = trio.current_time()
            keys = self._drop_unexpected()
            if not keys:
                continue
            with self._failures.attempt():
                for key in await self._select(keys):
                    self.wake(key)
                self._looked_at = began
            await trio.sleep(MIN_INTERVAL_SECONDS)

    def _drop_unexpected(self) -> list[Key]:
        """Drop the keys that no call waits for any more; returns the others."""
        dropped = [key for key, expected in self._expected.items() if not expected.waits]
        for key in dropped:
            del self._expected[key]
        return list(self._expected)
