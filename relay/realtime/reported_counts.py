"""Which numbers of live streams differ from those that this process reported last."""

from collections.abc import Mapping
from itertools import islice
from uuid import UUID

from relay.realtime.hub import Hub

MAX_CHANGES = 2_000  # users in one report; the others follow in the next


class ReportedCounts:
    """The numbers by user, as others know them."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._reported: dict[UUID, int] = {}

    def changed(self) -> dict[UUID, int]:
        """The new numbers, of MAX_CHANGES users at most; 0 where no stream is left."""
        counts = self._hub.counts()
        changed = {user: n for user, n in counts.items() if self._reported.get(user) != n}
        changed |= {user: 0 for user in self._reported if user not in counts}
        return dict(islice(changed.items(), MAX_CHANGES))

    def note(self, changed: Mapping[UUID, int]) -> None:
        """Note what was reported."""
        for user_id, streams in changed.items():
            if streams:
                self._reported[user_id] = streams
            else:
                self._reported.pop(user_id, None)

    def forget(self) -> None:
        """Report all of them again: what was reported is lost, or will be."""
        self._reported.clear()
