"""What a serving process holds while it serves, opened and closed in one block."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import trio

from relay.auth.credentials import Access
from relay.auth.origins import Origins
from relay.auth.tokens import Keyring
from relay.background.health import Health
from relay.background.process_metrics import Vitals
from relay.background.retention import keep_house, watch_disk
from relay.config.resources import packaged
from relay.config.settings import Settings
from relay.db.heads import Heads
from relay.db.migrate import Migration, load_migrations
from relay.db.pool import Database, open_database
from relay.db.source import Source
from relay.ingest.publisher import Publisher
from relay.rate_limiting import Limits
from relay.realtime.backplane import Backplane, LocalBackplane
from relay.realtime.hub import Hub
from relay.realtime.notification import News
from relay.realtime.postgres_backplane import PostgresBackplane
from relay.realtime.remote_reader import LOOK, LOOK_ALONE, Follower

LAST_COMMITS = 3.0  # seconds: what was accepted is committed, or its producer told


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    base_url: str
    health: Health
    migrations: list[Migration]
    origins: Origins
    database: Database
    access: Access
    limits: Limits
    hub: Hub
    heads: Heads
    publisher: Publisher
    backplane: Backplane
    vitals: Vitals

    def watchers(self, user_id: UUID) -> int:
        """The user's live streams: exactly those here, and what is known of other processes."""
        return self.hub.watchers(user_id) + self.backplane.watchers(user_id)

    @property
    def secure(self) -> bool:
        """Whether people reach Relay by https."""
        return self.base_url.startswith("https://")


@asynccontextmanager
async def open_services(
    settings: Settings,
    source: Source,
    base_url: str,
    *,
    keeps_house: bool = True,
    patience: float = 0.0,
    all_serve: Callable[[], bool] = lambda: True,
) -> AsyncIterator[Services]:
    """Everything a process needs to serve, with the tasks behind it in a nursery around the block.

    A task that dies sets `health.leaving`, and ends the block with its error when the block has
    not left within `patience` seconds: nobody serves with dead work behind. Of several processes
    on one machine, one keeps house. Raises DatabaseAway.
    """
    health = Health(all_serve)
    hub = Hub(
        most=settings.max_connections,
        most_per_user=settings.max_connections_per_user,
        most_per_address=settings.max_connections_per_address,
    )
    async with open_database(
        source.dsn,
        connections=settings.database_connections,
        timeout=settings.database_timeout,
        pooled=source.pooled,
    ) as database:
        backplane: Backplane = (
            PostgresBackplane(database, source.direct, hub)
            if source.shared
            else LocalBackplane(hub)
        )
        access = Access(
            Keyring(source.keys, base_url),
            database,
            on_revoked=hub.end_credential,
            tell=backplane.ended,
            watching=hub.credentials,
        )
        publisher = Publisher(database, hub, backplane, settings)
        journal = publisher.journal
        follower = Follower(hub, journal, LOOK if source.shared else LOOK_ALONE)
        heads = Heads(database)
        origins = Origins(base_url, settings.cors)
        vitals = Vitals(database, journal, settings)
        async with trio.open_nursery() as critical:
            critical.start_soon(health.insist, patience)
            await health.start(critical, access.run)
            health.start_soon(critical, follower.run)
            health.start_soon(critical, heads.run)
            await health.start(critical, backplane.run, partial(_hear, follower, access))
            if keeps_house:
                health.start_soon(critical, keep_house, database, settings)
            health.start_soon(critical, vitals.run)
            if source.folder is not None:
                watched = (journal, source.folder, settings.min_free_disk)
                health.start_soon(critical, watch_disk, *watched)
            async with trio.open_nursery() as writers:
                await health.start(writers, journal.run)
                yield Services(
                    settings=settings,
                    base_url=base_url,
                    health=health,
                    migrations=load_migrations(packaged("sql")),
                    origins=origins,
                    database=database,
                    access=access,
                    limits=Limits(settings),
                    hub=hub,
                    heads=heads,
                    publisher=publisher,
                    backplane=backplane,
                    vitals=vitals,
                )
                journal.close()
                writers.cancel_scope.deadline = trio.current_time() + LAST_COMMITS
            critical.cancel_scope.cancel()
        health.check()


def _hear(follower: Follower, access: Access, news: News) -> None:
    """What other processes tell goes to whom it concerns."""
    for credential_id in news.ended:
        access.heard_revoked(credential_id)
    if news.everything:
        access.look()
    follower.hear(news)
