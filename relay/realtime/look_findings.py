"""Counts streams with events that only the look each second found: no notification named them.

A look may be quicker than a notification on its way, or than the commit's own process. So what it
finds counts once no notification has come for `GRACE_SECONDS`.
"""

from collections.abc import Callable
from uuid import UUID

import trio

from relay.observability import backplane_metrics

GRACE_SECONDS = 0.9  # nearly until the next look; a notification takes milliseconds
MAX_FOUND = 10_000  # streams at once: as many as a process has. More are not counted


class LookFindings:
    """What looks found and no notification has named yet.

    `is_own` returns whether this process is storing events of a user right now: then it is about
    to publish them itself.
    """

    def __init__(self, is_own: Callable[[UUID], bool]) -> None:
        self._is_own = is_own
        self._found: dict[UUID, tuple[int, float]] = {}

    def note_found(self, user_id: UUID, last_seq: int) -> None:
        """Note that a look found a stream with new events up to this seq."""
        if len(self._found) < MAX_FOUND and not self._is_own(user_id):
            self._found.setdefault(user_id, (last_seq, trio.current_time()))

    def note_named(self, user_id: UUID, last_seq: int) -> None:
        """Note that a notification names events up to this seq."""
        found = self._found.get(user_id)
        if found is not None and last_seq >= found[0]:
            del self._found[user_id]

    def count(self) -> None:
        """Count what no notification has named in time. Call it before each look."""
        late = trio.current_time() - GRACE_SECONDS
        for user_id in [user for user, (_, found_at) in self._found.items() if found_at <= late]:
            del self._found[user_id]
            backplane_metrics.look_found.inc()
