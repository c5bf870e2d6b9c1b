"""Builds the services of a serving process, and runs their background tasks."""

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID

import msgspec
import trio

from relay import DISTRIBUTION
from relay.asks.asks import Asks
from relay.auth.credentials import CredentialStore
from relay.auth.origins import Origins
from relay.auth.revocations import RevocationKnowledge
from relay.auth.tokens import Keyring
from relay.background.deletion import Deletion
from relay.background.health import ProcessHealth
from relay.background.housekeeping import Housekeeping
from relay.background.process_metrics import ProcessMetrics
from relay.background.readiness import note_readiness
from relay.background.retention import run_retention, watch_disk
from relay.channels.calls import LateCalls
from relay.channels.channels import Channels
from relay.channels.kinds.base import KindContext
from relay.channels.mail import Mailer
from relay.channels.mail_codes import MailCodes
from relay.channels.sealing import Vault
from relay.channels.vapid import Vapid
from relay.config.resources import packaged
from relay.config.settings import SettingError, Settings
from relay.db.clock import DatabaseClock
from relay.db.migrate import Migration, load_migrations
from relay.db.notifications import OutboxBounds
from relay.db.outbox import Outbox
from relay.db.pool import Database, open_database
from relay.db.reader_turns import MAX_CALLS_OF_USER, ReaderTurns
from relay.db.receivers import ReceiverBounds
from relay.db.schema_lookup import SchemaLookup
from relay.db.source import Source
from relay.db.stream_heads import HeadLookup
from relay.db.task_changes import select_stop_requests
from relay.downloads import Downloads
from relay.ingest.publisher import Publisher
from relay.projection.projector import Projector
from relay.rate_limiting import Limits
from relay.realtime.backplane import Backplane, LocalBackplane
from relay.realtime.hub import Hub
from relay.realtime.notification import Notification
from relay.realtime.postgres_backplane import PostgresBackplane
from relay.realtime.remote_reader import POLL_INTERVAL, POLL_INTERVAL_ALONE, RemoteEventReader
from relay.realtime.shared_waits import SharedWaits
from relay.realtime.stream_ends import end_blind_streams
from relay.realtime.task_feeds import TaskFeeds
from relay.shared_limits import SharedLimits, SharedPlaces

LAST_COMMITS_TIMEOUT_SECONDS = 3.0  # at shutdown; requests that wait longer get an error


class Services(msgspec.Struct, frozen=True):
    """The objects that the handlers of one process use."""

    settings: Settings
    base_url: str
    health: ProcessHealth
    migrations: list[Migration]
    origins: Origins
    database: Database
    credentials: CredentialStore
    revocations: RevocationKnowledge
    limits: Limits
    reading_calls: ReaderTurns
    places: SharedPlaces | None
    hub: Hub
    heads: HeadLookup
    schema: SchemaLookup
    task_feeds: TaskFeeds
    log_downloads: Downloads
    exports: Downloads
    deletion: Deletion
    housekeeping: Housekeeping
    publisher: Publisher
    projector: Projector
    asks: Asks
    channels: Channels
    mail_codes: MailCodes
    stops: SharedWaits[tuple[UUID, str], None]
    clock: DatabaseClock
    backplane: Backplane
    remote_reader: RemoteEventReader
    process_metrics: ProcessMetrics

    def watchers(self, user_id: UUID) -> int:
        """The user's live streams: the exact number here, plus the last known one elsewhere."""
        return self.hub.watchers(user_id) + self.backplane.watchers(user_id)

    @property
    def secure(self) -> bool:
        """Whether clients reach Relay over HTTPS."""
        return self.base_url.startswith("https://")


@asynccontextmanager
async def open_services(
    settings: Settings,
    source: Source,
    base_url: str,
    *,
    failure_grace: float = 0.0,
    all_serve: Callable[[], bool] = lambda: True,
) -> AsyncIterator[Services]:
    """Connect to the database, then build and run the services for the length of the block.

    `failure_grace` is as in `run_services`. `all_serve` returns whether all processes that share
    this one's address serve. Raises DatabaseAway, or the error of a background task.
    """
    async with open_database(
        source.dsn,
        connections=settings.database_connections,
        timeout=settings.database_timeout,
        pooled=source.pooled,
    ) as database:
        services = build_services(settings, source, base_url, database, ProcessHealth(all_serve))
        async with run_services(services, source, failure_grace=failure_grace):
            yield services


def build_services(
    settings: Settings, source: Source, base_url: str, database: Database, health: ProcessHealth
) -> Services:
    """Create the services and connect them. No task runs yet."""
    revocations = RevocationKnowledge()
    hub = Hub(
        revocations,
        max_streams=settings.max_connections,
        max_streams_per_user=settings.max_connections_per_user,
        max_streams_per_address=settings.max_connections_per_address,
    )
    backplane, shared = _backplane(settings, source, database, hub)
    outbox = Outbox(OutboxBounds.of(settings), ReceiverBounds.of(settings))
    projector = Projector(database, max_tasks=settings.tasks_per_user, outbox=outbox)
    clock = DatabaseClock()
    publisher = Publisher(database, hub, backplane, projector, clock, settings)
    reading_calls = ReaderTurns(MAX_CALLS_OF_USER, math.inf, timeout=settings.database_timeout)
    vault = Vault(source.keys)
    return Services(
        settings=settings,
        base_url=base_url,
        health=health,
        migrations=load_migrations(packaged("sql")),
        origins=Origins(base_url, settings.cors),
        database=database,
        credentials=CredentialStore(
            Keyring(source.keys, base_url),
            database,
            revocations,
            on_revoked=hub.end_credential,
            announce=backplane.announce_revoked,
            in_use=hub.credentials,
        ),
        revocations=revocations,
        limits=Limits(settings, shared=shared),
        reading_calls=reading_calls,
        places=shared,
        hub=hub,
        heads=HeadLookup(database),
        schema=SchemaLookup(database),
        task_feeds=TaskFeeds(database, projector, hub),
        log_downloads=Downloads("log_downloads"),
        exports=Downloads("exports"),
        deletion=Deletion(database),
        housekeeping=Housekeeping(database, alone=not source.shared),
        publisher=publisher,
        projector=projector,
        asks=Asks(database, publisher, outbox),
        channels=Channels(
            database,
            outbox,
            KindContext(
                settings=settings,
                base_url=base_url,
                database=database,
                outbound=LateCalls(private=settings.outbound_private),
                vault=vault,
                vapid=Vapid(database, vault),
                mailer=(
                    None
                    if settings.smtp_url is None
                    else Mailer.of(settings.smtp_url, settings.sender)
                ),
            ),
        ),
        mail_codes=MailCodes(source.keys),
        stops=SharedWaits(partial(select_stop_requests, database)),
        clock=clock,
        backplane=backplane,
        remote_reader=RemoteEventReader(
            hub, publisher.journal, POLL_INTERVAL if source.shared else POLL_INTERVAL_ALONE
        ),
        process_metrics=ProcessMetrics(database, publisher.journal, reading_calls, settings),
    )


def _backplane(
    settings: Settings, source: Source, database: Database, hub: Hub
) -> tuple[Backplane, SharedLimits | None]:
    """The way to the other processes, and the limits that are counted with them.

    Raises SettingError if the way that is set cannot be used.
    """
    if not source.shared:
        return LocalBackplane(hub), None
    if settings.backplane_url is None:
        return PostgresBackplane(database, source.direct, source.keys, hub), None
    try:
        from relay.realtime.valkey.backplane import ValkeyBackplane
    except ImportError:
        raise SettingError(
            f"RELAY_BACKPLANE_URL needs the package hiredis: install {DISTRIBUTION}[valkey]"
        ) from None
    try:
        backplane = ValkeyBackplane(settings.backplane_url, source.keys, hub)
    except ValueError as error:  # a file was changed since the settings were read
        raise SettingError(f"RELAY_BACKPLANE_URL {error}") from None
    return backplane, backplane.limits


@asynccontextmanager
async def run_services(
    services: Services, source: Source, *, failure_grace: float
) -> AsyncIterator[None]:
    """Run the background tasks of the services in a nursery around the block.

    The journal's writers end last, so that accepted events are committed. A task that fails sets
    `health.leaving`. If the block has not ended `failure_grace` seconds later, it is cancelled
    with the task's error: a process must not serve without its background tasks.
    """
    health, settings, database = services.health, services.settings, services.database
    journal = services.publisher.journal
    async with trio.open_nursery() as critical:
        critical.start_soon(health.raise_after, failure_grace)
        await health.start(critical, services.credentials.run)
        health.start_soon(
            *(critical, end_blind_streams, services.hub, services.revocations),
            settings.stream_blind,
        )
        health.start_soon(critical, services.remote_reader.run)
        health.start_soon(critical, services.heads.run)
        health.start_soon(critical, services.schema.run)
        health.start_soon(critical, services.projector.run)
        health.start_soon(critical, services.task_feeds.run)
        health.start_soon(critical, services.asks.waits.run)
        health.start_soon(critical, services.stops.run)
        if settings.notify:
            health.start_soon(critical, services.channels.run)
        await health.start(critical, note_readiness, database, services.clock)
        await health.start(critical, services.backplane.run, partial(_on_notification, services))
        health.start_soon(critical, services.deletion.run)
        health.start_soon(critical, services.housekeeping.run, partial(_keep_house, services))
        health.start_soon(critical, services.process_metrics.run)
        if source.folder is not None:
            health.start_soon(critical, watch_disk, journal, source.folder, settings.min_free_disk)
        async with trio.open_nursery() as writers:
            await health.start(writers, journal.run)
            yield
            journal.close()
            writers.cancel_scope.deadline = trio.current_time() + LAST_COMMITS_TIMEOUT_SECONDS
        critical.cancel_scope.cancel()
    health.check()


def _keep_house(services: Services, work: trio.Nursery) -> None:
    """Start what one process does for all of them.

    It deletes what has expired, folds and clears what ended processes left, ends asks on time, and
    makes the notifications of lost tasks.
    """
    health, settings = services.health, services.settings
    every, upkeep = settings.housekeeping_every, services.channels.upkeep
    health.start_soon(work, run_retention, services.database, settings)
    health.start_soon(work, services.projector.keep_up, every)
    health.start_soon(work, services.asks.settle)
    health.start_soon(work, services.deletion.look, every)
    health.start_soon(work, upkeep.note_lost)
    health.start_soon(work, upkeep.count)
    health.start_soon(work, upkeep.reseal, every)


def _on_notification(services: Services, notification: Notification) -> None:
    """Handle an announcement of another process: revoked credentials and new events."""
    for credential_id in notification.revoked:
        services.credentials.end_here(credential_id)
    if notification.everything:
        services.credentials.poll_soon()
    services.remote_reader.on_notification(notification)
    services.asks.waits.touch()
