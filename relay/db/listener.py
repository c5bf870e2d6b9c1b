"""Receives notifications: LISTEN on a connection of its own, which is replaced when it fails.

LISTEN ends with its connection, and notifications sent meanwhile are lost. So the connection is
probed and replaced when it fails, and the caller is notified each time LISTEN begins.
"""

import random
from collections.abc import Callable

import structlog
import trio

from relay.db.pool import UNANSWERED, Connection, Database
from relay.observability import metrics

NAME = "relay listening"
PROBE = 2.0  # seconds; a broken network path does not close the connection
ANSWER = 2.0  # for the answer to a probe, and for a new connection
PAUSE = 0.1, 2.0  # between two tries to connect, at first and at most

log = structlog.get_logger("relay.database")


async def listen(
    database: Database,
    dsn: str,
    channel: str,
    *,
    heard: Callable[[str], None],
    standing: Callable[[], None],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Call `heard` with each payload, and `standing` each time LISTEN begins.

    Neither may raise. Runs until cancelled. It counts as started after the first try to connect,
    even if that failed.
    """
    pause, outage, starting = PAUSE[0], False, True
    while True:
        try:
            async with database.connection(dsn, NAME, timeout=ANSWER) as connection:
                lost = await connection.listen(channel, heard)
                metrics.backplane_up.set(1)
                standing()
                if not starting:
                    metrics.backplane_reconnects.inc()
                    log.warning("listening_again")
                else:
                    task_status.started()
                pause, outage, starting = PAUSE[0], False, False
                await _until_dead(connection, lost)
        except UNANSWERED as error:
            if not outage:  # logged once for each outage
                log.warning("not_listening", error=repr(error.__cause__)[:300])
            outage = True
        finally:
            metrics.backplane_up.set(0)
        if starting:
            task_status.started()
            starting = False
        await trio.sleep(pause * random.uniform(0.5, 1.5))
        pause = min(pause * 2, PAUSE[1])


async def _until_dead(connection: Connection, lost: trio.Event) -> None:
    """Probe until the connection fails. Raises DatabaseAway then."""
    while True:
        with trio.move_on_after(PROBE):
            await lost.wait()
        await connection.fetch("SELECT 1")
