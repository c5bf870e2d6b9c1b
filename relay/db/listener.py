"""Hearing what is notified, for as long as it takes: LISTEN on a connection of its own.

LISTEN ends with its connection, and what was notified meanwhile is gone. So the connection is
probed, replaced when it is dead, and whoever listens is told each time it stands again.
"""

import random
from collections.abc import Callable

import structlog
import trio

from relay.db.pool import UNANSWERED, Connection, Database
from relay.observability import metrics

NAME = "relay listening"
PROBE = 2.0  # seconds between two signs of life: a cut line says nothing by itself
ANSWER = 2.0  # seconds the server may take for one, and for a new connection
PAUSE = 0.1, 2.0  # seconds between two tries, at first and at most

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
    """Call `heard` with each payload, and `standing` whenever LISTEN begins to hold.

    Neither may raise. Runs for ever; has started once the first try stands or has failed, since
    there are others after it.
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
            if not outage:  # once an outage
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
    """Raises DatabaseAway when the connection has ended, or a probe is not answered in time."""
    while True:
        with trio.move_on_after(PROBE):
            await lost.wait()
        await connection.fetch("SELECT 1")
