"""Background tasks that bound what is stored: retention, expiry and the free disk space."""

import shutil
from functools import partial
from pathlib import Path
from uuid import UUID

import structlog
import trio

from relay.background.one_by_one import OneByOne
from relay.background.steps import Steps
from relay.background.sweeping import sweep_steps
from relay.config.settings import Settings
from relay.db.journal import Journal
from relay.db.pool import Database
from relay.db.retention import (
    BEFORE_ALL_USERS,
    StreamBounds,
    expire_user,
    select_days_ago,
    select_idle_users,
    select_overfull,
    trim_stream,
)
from relay.observability import metrics

# Between two statements: others need the disk, too, and producers the row lock of their stream.
PAUSE_SECONDS = 0.005
DISK_CHECK_INTERVAL = 1.0  # seconds between two checks of the free space

log = structlog.get_logger("relay.background.retention")


async def run_retention(database: Database, settings: Settings) -> None:
    """Trim streams, expire idle users and delete expired rows, at intervals, until cancelled."""
    steps = Steps(
        {
            "streams": partial(trim_streams, database, settings),
            "idle_users": partial(expire_idle_users, database, settings),
            **sweep_steps(database, audit_days=settings.audit_days),
        }
    )
    while True:
        if await steps.run():
            metrics.housekeeping_done.set_to_current_time()
        await trio.sleep(settings.housekeeping_every)


async def trim_streams(database: Database, settings: Settings) -> None:
    """Trim every stream that exceeds its bounds."""
    bounds = StreamBounds(
        max_events=settings.retention_events,
        max_bytes=settings.retention_bytes,
        before=await select_days_ago(database, settings.retention_days),
    )
    users = OneByOne()
    after: UUID | None = BEFORE_ALL_USERS
    while after is not None:
        overfull, after = await select_overfull(database, bounds, after)
        for user_id in overfull:
            with users.attempt(user_id):
                while trimmed := await trim_stream(database, user_id, bounds):
                    metrics.events_trimmed.inc(trimmed)
                    await trio.sleep(PAUSE_SECONDS)
        await trio.sleep(PAUSE_SECONDS)
    users.end()


async def expire_idle_users(database: Database, settings: Settings) -> None:
    """Delete idle users without a live credential. `Deletion` deletes what is stored of them."""
    users = OneByOne()
    after: UUID | None = BEFORE_ALL_USERS
    while after is not None:
        idle, after = await select_idle_users(database, after, idle_days=settings.idle_user_days)
        for user_id in idle:
            with users.attempt(user_id):
                await expire_user(database, user_id, idle_days=settings.idle_user_days)
        await trio.sleep(PAUSE_SECONDS)
    users.end()


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
