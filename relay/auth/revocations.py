"""Tracks how current a process's knowledge of revoked credentials is.

A credential in memory counts, and events are handed to a stream, only while the last poll of the
database for revocations is recent. So nothing is delivered for long on a credential that another
process has revoked, whatever is cut between this process, the others and the database.
"""

import math

import trio

from relay.errors import DatabaseAway

TRUST_SECONDS = 2.5  # seconds that a successful poll is trusted: two polls may be slow
MAX_LATE_POLLS = 2  # late polls that a request waits for: a stalled process is not an outage


class RevocationKnowledge:
    """What is known of revocations: all of them up to the start of the last successful poll."""

    def __init__(self) -> None:
        self.complete_until = -math.inf  # trio's time of the start of the last successful poll
        self.poll_failed = False  # whether the last poll failed
        self._trusted_until = -math.inf
        self._polled = trio.Event()  # set when the poll that is due or running has its answer

    @property
    def is_current(self) -> bool:
        """Whether the last successful poll is recent."""
        return trio.current_time() <= self._trusted_until

    def note_success(self, began_at: float) -> None:
        """A poll that began then has succeeded, and what it found was applied."""
        self.complete_until, self._trusted_until = began_at, began_at + TRUST_SECONDS
        self._end_poll(failed=False)

    def note_failure(self) -> None:
        """A poll has failed."""
        self._end_poll(failed=True)

    def _end_poll(self, *, failed: bool) -> None:
        self.poll_failed = failed
        self._polled.set()
        self._polled = trio.Event()

    async def wait_for_poll(self) -> None:
        """Wait for the answer of the poll that is due or running. The caller bounds the wait."""
        await self._polled.wait()

    async def wait_until_current(self) -> None:
        """Wait until the knowledge is current. Raises DatabaseAway.

        Waits for up to `MAX_LATE_POLLS` late polls, but not after one that failed. The database
        timeout bounds each.
        """
        for _ in range(MAX_LATE_POLLS + 1):
            if self.is_current:
                return
            if self.poll_failed:
                break  # refuse at once until the next successful poll
            await self._polled.wait()
        raise DatabaseAway()
