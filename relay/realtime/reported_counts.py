"""Which numbers of live streams differ from those that others have of this process."""

from collections.abc import Mapping
from itertools import islice
from uuid import UUID

from relay.realtime.hub import Hub

MAX_CHANGES = 2_000  # users in one report; the others follow in the next
_UNKNOWN = -1  # in place of a number, and unequal to each


class ReportedCounts:
    """The numbers by user, as others have them; a user that is missing has no stream here.

    What became of a report is not known until `note`: its answer may be lost, and the report not.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._reported: dict[UUID, int] = {}

    def next_report(self) -> dict[UUID, int]:
        """The numbers that others may not have, 0 if no stream is left; MAX_CHANGES at most."""
        counts = self._hub.counts()
        changed = {user: n for user, n in counts.items() if self._reported.get(user) != n}
        changed |= {user: 0 for user in self._reported if user not in counts}
        report = dict(islice(changed.items(), MAX_CHANGES))
        self._reported |= dict.fromkeys(report, _UNKNOWN)
        return report

    def note(self, report: Mapping[UUID, int]) -> None:
        """Note that others have these numbers now."""
        for user_id, streams in report.items():
            if streams:
                self._reported[user_id] = streams
            else:
                self._reported.pop(user_id, None)

    def forget(self) -> None:
        """Report all of them again: what others had may be lost. Users without a stream get a 0."""
        self._reported = dict.fromkeys(self._reported, _UNKNOWN)
