"""Notes in the database, once a second, that a process is ready, and reads the database's clock.

Leases do not run out while no process is ready: a producer cannot be heard then.
"""

import trio

from relay.db.clock import DatabaseClock
from relay.db.pool import Database
from relay.db.work_failures import WorkFailures

INTERVAL_SECONDS = 1.0
# A pause between two notes that counts as an outage. Longer than a slow answer of the database.
MAX_PAUSE_SECONDS = 3.0
KEPT_DAYS = 8  # the longest lease is a week


async def note_readiness(
    database: Database,
    clock: DatabaseClock,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Note readiness until cancelled. It has started when the first note is stored.

    Raises DatabaseAway or StatementFailed if that fails.
    """
    await _note(database, clock)
    task_status.started()
    failures = WorkFailures(
        "relay.background.readiness", waits="readiness_waits", refused="readiness_refused"
    )
    while True:
        await trio.sleep(INTERVAL_SECONDS)
        with failures.attempt():
            await _note(database, clock)


async def _note(database: Database, clock: DatabaseClock) -> None:
    began = clock.begin_read()
    at = await database.fetchval(
        "SELECT note_ready($1 * interval '1 second', $2 * interval '1 day')",
        MAX_PAUSE_SECONDS,
        KEPT_DAYS,
    )
    clock.end_read(began, at)
