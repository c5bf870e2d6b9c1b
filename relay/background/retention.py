"""Background tasks that bound what is stored: retention, expiry and the free disk space."""

import shutil
from pathlib import Path

import structlog
import trio

from relay.config.settings import Settings
from relay.db.journal import Journal
from relay.db.pool import Database
from relay.db.retention import (
    StreamBounds,
    expire_user,
    select_days_ago,
    select_idle_users,
    select_overfull,
    sweep,
    trim_stream,
)
from relay.db.work_failures import WorkFailures
from relay.observability import metrics

TRIM_PAUSE_SECONDS = 0.005  # between two trims of a stream, so that its producers get the row lock
SWEEP_PAUSE_SECONDS = 0.005  # between two sweeps: other statements need the disk, too
DISK_CHECK_INTERVAL = 1.0  # seconds between two checks of the free space

log = structlog.get_logger("relay.background.retention")


async def run_retention(database: Database, settings: Settings) -> None:
    """Trim streams, expire idle users and delete expired rows, at intervals, until cancelled."""
    failures = WorkFailures(
        "relay.background.retention", waits="housekeeping_waits", refused="housekeeping_refused"
    )
    while True:
        with failures.attempt():
            await trim_streams(database, settings)
            await expire_idle_users(database, settings)
            await sweep_expired(database, settings)
            metrics.housekeeping_done.set_to_current_time()
        await trio.sleep(settings.housekeeping_every)


async def trim_streams(database: Database, settings: Settings) -> None:
    """Trim every stream that exceeds its bounds."""
    bounds = StreamBounds(
        max_events=settings.retention_events,
        max_bytes=settings.retention_bytes,
        before=await select_days_ago(database, settings.retention_days),
    )
    for user_id in await select_overfull(database, bounds):
        while trimmed := await trim_stream(database, user_id, bounds):
            metrics.events_trimmed.inc(trimmed)
            await trio.sleep(TRIM_PAUSE_SECONDS)


async def expire_idle_users(database: Database, settings: Settings) -> None:
    """Delete idle users without a live credential. `Deletion` deletes what is stored of them."""
    while user_ids := await select_idle_users(database, idle_days=settings.idle_user_days):
        for user_id in user_ids:
            await expire_user(database, user_id, idle_days=settings.idle_user_days)


async def sweep_expired(database: Database, settings: Settings) -> None:
    """Delete all rows that have expired, in steps: a busy stream leaves more than one holds."""
    while await sweep(database, audit_days=settings.audit_days):  # noqa: ASYNC110 - each a part
        await trio.sleep(SWEEP_PAUSE_SECONDS)


async def watch_disk(journal: Journal, folder: Path, min_free: int) -> None:
    """Refuse events while the disk of the embedded Postgres is nearly full.

    A full disk would end Postgres.
    """
    metrics.disk_needed.set(min_free)
    while True:
        free = (await trio.to_thread.run_sync(shutil.disk_usage, folder)).free
        metrics.disk_free.set(free)
        if journal.disk_full != (free < min_free):
            journal.disk_full = free < min_free
            log.warning("disk", free_bytes=free, taking_events=not journal.disk_full)
        await trio.sleep(DISK_CHECK_INTERVAL)
