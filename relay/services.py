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

LAST_COMMITS = 3.0  # seconds for the last commits; what takes longer is answered with an error


@dataclass(frozen=True, slots=True)
class Services:
    """What the handlers of one process work with."""

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
    remote_reader: Follower
    vitals: Vitals

    def watchers(self, user_id: UUID) -> int:
        """The user's live streams: exactly those here, and what is known of other processes."""
        return self.hub.watchers(user_id) + self.backplane.watchers(user_id)

    @property
    def secure(self) -> bool:
        """Whether clients reach Relay by https."""
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
    """Everything a process needs to serve, running for the length of the block.

    `patience` is as in `run_services`. Of several processes on one machine, one keeps house.
    `all_serve` tells whether the processes that share this one's address serve. Raises
    DatabaseAway, or what a task died of.
    """
    async with open_database(
        source.dsn,
        connections=settings.database_connections,
        timeout=settings.database_timeout,
        pooled=source.pooled,
    ) as database:
        services = build_services(settings, source, base_url, database, Health(all_serve))
        async with run_services(services, source, keeps_house=keeps_house, patience=patience):
            yield services


def build_services(
    settings: Settings, source: Source, base_url: str, database: Database, health: Health
) -> Services:
    """The services, wired to each other. Nothing runs yet."""
    hub = Hub(
        most=settings.max_connections,
        most_per_user=settings.max_connections_per_user,
        most_per_address=settings.max_connections_per_address,
    )
    backplane: Backplane = (
        PostgresBackplane(database, source.direct, hub) if source.shared else LocalBackplane(hub)
    )
    publisher = Publisher(database, hub, backplane, settings)
    return Services(
        settings=settings,
        base_url=base_url,
        health=health,
        migrations=load_migrations(packaged("sql")),
        origins=Origins(base_url, settings.cors),
        database=database,
        access=Access(
            Keyring(source.keys, base_url),
            database,
            on_revoked=hub.end_credential,
            tell=backplane.ended,
            watching=hub.credentials,
        ),
        limits=Limits(settings),
        hub=hub,
        heads=Heads(database),
        publisher=publisher,
        backplane=backplane,
        remote_reader=Follower(hub, publisher.journal, LOOK if source.shared else LOOK_ALONE),
        vitals=Vitals(database, publisher.journal, settings),
    )


@asynccontextmanager
async def run_services(
    services: Services, source: Source, *, keeps_house: bool, patience: float
) -> AsyncIterator[None]:
    """Run the tasks behind the services, in a nursery around the block.

    The journal's writers end last: what was accepted is committed. A task that dies sets
    `health.leaving`. The block ends with the task's error when it has not left within `patience`
    seconds after that: no process serves with dead work behind it.
    """
    health, settings, database = services.health, services.settings, services.database
    journal = services.publisher.journal
    async with trio.open_nursery() as critical:
        critical.start_soon(health.insist, patience)
        await health.start(critical, services.access.run)
        health.start_soon(critical, services.remote_reader.run)
        health.start_soon(critical, services.heads.run)
        await health.start(critical, services.backplane.run, partial(_on_news, services))
        if keeps_house:
            health.start_soon(critical, keep_house, database, settings)
        health.start_soon(critical, services.vitals.run)
        if source.folder is not None:
            health.start_soon(critical, watch_disk, journal, source.folder, settings.min_free_disk)
        async with trio.open_nursery() as writers:
            await health.start(writers, journal.run)
            yield
            journal.close()
            writers.cancel_scope.deadline = trio.current_time() + LAST_COMMITS
        critical.cancel_scope.cancel()
    health.check()


def _on_news(services: Services, news: News) -> None:
    """Pass on what other processes announce."""
    for credential_id in news.ended:
        services.access.heard_revoked(credential_id)
    if news.everything:
        services.access.look()
    services.remote_reader.hear(news)
