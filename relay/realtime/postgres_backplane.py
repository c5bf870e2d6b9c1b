"""The backplane for processes that share a Postgres, over LISTEN and NOTIFY.

Postgres serialises all commits that notify, for the whole server. So a commit of events does not
notify. NOTIFY is sent afterwards, one at a time; what is announced meanwhile goes into the next
one. Nothing is sent while no other process is alive.
"""

from functools import partial
from uuid import UUID, uuid4

import structlog
import trio

from relay.db.listener import listen
from relay.db.pool import UNANSWERED, Database
from relay.observability import metrics
from relay.realtime.backplane import Hear
from relay.realtime.hub import Hub
from relay.realtime.notification import News
from relay.realtime.presence import Presence

CHANNEL = "relay"
PAUSE = 0.2  # after a NOTIFY that failed

log = structlog.get_logger("relay.backplane")


class PostgresBackplane:
    """`dsn` must not lead through a transaction pooler: LISTEN does not work there."""

    def __init__(self, database: Database, dsn: str, hub: Hub) -> None:
        self._database = database
        self._dsn = dsn
        self._id = uuid4()
        self._presence = Presence(database, self._id, hub)
        self._news = News(self._id)
        self._woken = trio.Event()

    def grew(self, user_id: UUID, seq: int) -> None:
        if not self._presence.alone:
            self._news.add_head(user_id, seq)
            self._woken.set()

    def ended(self, credential_id: UUID) -> None:
        if not self._presence.alone:
            self._news.add_revoked(credential_id)
            self._woken.set()

    def watchers(self, user_id: UUID) -> int:
        return self._presence.elsewhere(user_id)

    async def run(
        self, hear: Hear, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(self._presence.run)
            nursery.start_soon(self._tell)
            await nursery.start(
                partial(
                    listen,
                    self._database,
                    self._dsn,
                    CHANNEL,
                    heard=partial(self._heard, hear),
                    standing=partial(self._standing, hear),
                )
            )
            task_status.started()

    def _standing(self, hear: Hear) -> None:
        """Handle the start of LISTEN: look up everything, since earlier announcements are lost.

        The notification that is sent next makes this process known to the others.
        """
        hear(News(self._id, everything=True))
        self._woken.set()

    def _heard(self, hear: Hear, text: str) -> None:
        news = News.decode(text)
        if news is None:
            log.warning("news_not_understood")
            news = News(self._id, everything=True)
        elif news.sender == self._id:
            return
        else:
            self._presence.met(news.sender)
        metrics.backplane_received.inc()
        hear(news)

    async def _tell(self) -> None:
        """Send collected announcements, one NOTIFY at a time.

        An empty one is sent at the start of LISTEN: it makes this process known to the others.
        """
        while True:
            await self._woken.wait()
            self._woken = trio.Event()
            news, self._news = self._news, News(self._id)
            if news.everything:
                metrics.backplane_overflows.inc()
            try:
                await self._database.execute("SELECT pg_notify($1, $2)", CHANNEL, news.encode())
                metrics.backplane_sent.inc()
            except UNANSWERED:
                metrics.backplane_send_failures.inc()
                self._news.everything = True
                self._woken.set()
                await trio.sleep(PAUSE)
