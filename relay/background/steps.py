"""Runs the steps of housekeeping in turn. One that fails does not keep the others from theirs."""

from collections.abc import Awaitable, Callable, Mapping

import structlog

from relay.db.pool import DATABASE_ERRORS
from relay.db.work_failures import WorkFailures

Step = Callable[[], Awaitable[None]]

log = structlog.get_logger("relay.background.steps")


class Steps:
    """Steps at the database, by their names in the log.

    While the database is away, all of them fail, and the check of revocations logs that. A step
    that fails while others succeed is logged here: its work stays undone until a person mends what
    refuses it, or what makes it slower than the timeout.
    """

    def __init__(self, steps: Mapping[str, Step]) -> None:
        self._steps = steps
        self._failures = WorkFailures(
            "relay.background.steps", waits="housekeeping_waits", refused="housekeeping_refused"
        )
        self._logged: list[str] = []  # the failed steps that the log has already

    async def run(self) -> bool:
        """Run each step once; returns whether all of them succeeded."""
        failed = []
        self._failures.begin_attempt()
        for name, step in self._steps.items():
            try:
                await step()
            except DATABASE_ERRORS as error:
                self._failures.note(error)
                failed.append(name)
        if len(failed) < len(self._steps):
            if failed and failed != self._logged:
                log.warning("housekeeping_unfinished", steps=failed)
            self._logged = failed
        return not failed
