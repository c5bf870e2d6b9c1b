"""Decides which process does housekeeping: one at a time, of all that serve the database.

Every process asks for a lease, which is a row in the database. Its holder renews it. When the
holder ends it gives the lease back; when it dies, hangs or is cut off the lease runs out, and the
next process that asks has it. So the work is done once however many processes there are. Its
statements may run twice at the same time, for the moment in which a holder does not know yet that
it is late: each is safe beside itself. The lease saves work, and nothing depends on it.

A row and not an advisory lock: that would need a session, which a transaction pooler does not
give, and Postgres would keep it for a host that was cut off until TCP gives up.
"""

import math
from collections.abc import Callable
from contextlib import suppress
from uuid import uuid4

import structlog
import trio

from relay.db.housekeeping import release_lease, take_lease
from relay.db.pool import DATABASE_ERRORS, Database
from relay.db.work_failures import WorkFailures
from relay.observability import metrics

# How long no process does housekeeping when its holder dies, at most. Longer than a statement that
# times out (5 s by default) and the renewals around it, so that a slow database does not move it.
LEASE_SECONDS = 10.0
ASK_SECONDS = 2.0  # between two renewals, and between two questions of a process without it
RELEASE_TIMEOUT_SECONDS = 1.0  # at the end of the process

log = structlog.get_logger("relay.background.housekeeping")


class Housekeeping:
    """Asks for the lease, and does the work while it has it, while `run` runs.

    `alone`: no other process serves this database, so a lease of the process before is void.
    """

    def __init__(self, database: Database, *, alone: bool) -> None:
        self._database = database
        self._alone = alone
        self._holder = uuid4()
        self._until = -math.inf  # on trio's clock
        self._failures = WorkFailures(
            "relay.background.housekeeping",
            waits="housekeeping_lease_waits",
            refused="housekeeping_lease_refused",
        )

    async def run(self, begin: Callable[[trio.Nursery], None]) -> None:
        """Do housekeeping whenever no other process does, until cancelled.

        `begin` starts the work in a nursery, which is cancelled when the lease is lost. An error in
        this nursery is raised.
        """
        try:
            while True:
                await self._ask()
                if self._until > trio.current_time():
                    await self._keep(begin)
                await trio.sleep(ASK_SECONDS)
        finally:
            with trio.move_on_after(RELEASE_TIMEOUT_SECONDS, shield=True):
                await self._release()

    async def _ask(self) -> None:
        """Take or renew the lease. Without an answer it lasts as long as it did before."""
        began = trio.current_time()  # the database counts from later on
        with self._failures.attempt():
            is_ours = await take_lease(
                self._database, self._holder, seconds=LEASE_SECONDS, by_force=self._alone
            )
            self._until = began + LEASE_SECONDS if is_ours else -math.inf

    async def _keep(self, begin: Callable[[trio.Nursery], None]) -> None:
        """Do the work, and renew the lease, until it is lost."""
        log.info("housekeeping_begins")
        metrics.housekeeping_takeovers.inc()
        metrics.housekeeping_holder.set(1)
        try:
            with trio.CancelScope(deadline=self._until) as term:
                async with trio.open_nursery() as work:
                    begin(work)
                    while True:
                        await trio.sleep(ASK_SECONDS)
                        await self._ask()
                        term.deadline = self._until
            log.warning("housekeeping_lost")
        finally:
            metrics.housekeeping_holder.set(0)

    async def _release(self) -> None:
        if self._until > trio.current_time():
            with suppress(*DATABASE_ERRORS):
                await release_lease(self._database, self._holder)
