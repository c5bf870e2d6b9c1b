"""Receives notifications: LISTEN on a connection of its own, which is replaced when it fails.

LISTEN ends with its connection, and notifications sent meanwhile are lost. So the connection is
probed and replaced when it fails, and the caller is notified each time LISTEN begins.
"""

import random
from collections.abc import Callable

import structlog
import trio

from relay.db.pool import DATABASE_ERRORS, Database, DatabaseConnection
from relay.observability import metrics

APPLICATION_NAME = "relay listening"
PROBE_INTERVAL = 2.0  # seconds; a broken network path does not close the connection
ANSWER_TIMEOUT_SECONDS = 2.0  # for the answer to a probe, and for a new connection
RETRY_SECONDS = 0.1, 2.0  # between two tries to connect, at first and at most

log = structlog.get_logger("relay.database")


async def listen(
    database: Database,
    dsn: str,
    channel: str,
    *,
    on_payload: Callable[[str], None],
    on_listening: Callable[[], None],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Call `on_payload` with each payload, and `on_listening` each time LISTEN begins.

    Neither may raise. Runs until cancelled. It counts as started after the first try to connect,
    even if that failed.
    """
    pause, outage, starting = RETRY_SECONDS[0], False, True
    while True:
        try:
            async with database.connection(
                dsn, APPLICATION_NAME, timeout=ANSWER_TIMEOUT_SECONDS
            ) as connection:
                lost = await connection.listen(channel, on_payload)
                metrics.backplane_up.set(1)
                on_listening()
                if not starting:
                    metrics.backplane_reconnects.inc()
                    log.warning("listening_again")
                else:
                    task_status.started()
                pause, outage, starting = RETRY_SECONDS[0], False, False
                await _probe_until_lost(connection, lost)
        except DATABASE_ERRORS as error:
            if not outage:  # logged once for each outage
                log.warning("not_listening", error=repr(error.__cause__)[:300])
            outage = True
        finally:
            metrics.backplane_up.set(0)
        if starting:
            task_status.started()
            starting = False
        await trio.sleep(pause * random.uniform(0.5, 1.5))
        pause = min(pause * 2, RETRY_SECONDS[1])


async def _probe_until_lost(connection: DatabaseConnection, lost: trio.Event) -> None:
    """Probe until the connection fails. Raises DatabaseAway then."""
    while True:
        with trio.move_on_after(PROBE_INTERVAL):
            await lost.wait()
        await connection.fetch("SELECT 1")
