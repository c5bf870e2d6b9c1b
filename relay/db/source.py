"""Chooses the database, the operator's or the embedded one, and the signing keys for it."""

import fcntl
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog
import trio

from relay.config.parsers import SigningKey, signing_keys
from relay.config.resources import packaged
from relay.config.settings import Settings
from relay.db.embedded import EmbeddedError, find_running_dsn, running_postgres, sync_folder
from relay.db.migrate import (
    Migration,
    MigrationError,
    applied_migrations,
    load_migrations,
    migrate,
    pending_migrations,
)
from relay.db.pool import StatementFailed, connect
from relay.errors import DatabaseAway

REACHABLE_WITHIN_SECONDS = 10.0  # for a database that starts at the same time as Relay
MIN_EMBEDDED_CONNECTIONS = 60  # for one process, and others started by hand
CONNECTIONS_OUTSIDE_POOL = 2  # connections of a process outside its pool
SPARE_CONNECTIONS = 8  # for migrations, `relay` commands and psql
STOP_TIMEOUT_SECONDS = 2.0  # for each stop signal; even SIGKILL loses no commit
MAX_RESTART_PAUSE_SECONDS = 5.0  # at most between two tries to restart the embedded Postgres

log = structlog.get_logger("relay.database")


class NoDatabase(Exception):
    """There is no usable database. The message is one line for the operator."""


@dataclass(frozen=True, slots=True)
class Source:
    """A database to connect to, and its signing keys.

    `dsn` and `direct` contain the password, so `repr` leaves them out. `direct` leads to the same
    database without a transaction pooler: for migrations and LISTEN.
    """

    dsn: str = field(repr=False)
    direct: str = field(repr=False)
    keys: tuple[SigningKey, ...]
    description: str
    folder: Path | None  # the data folder of the embedded Postgres
    shared: bool  # whether other processes may serve this database, too

    @property
    def pooled(self) -> bool:
        return self.direct != self.dsn


@asynccontextmanager
async def open_source(settings: Settings, *, use_running: bool = False) -> AsyncIterator[Source]:
    """Provide the database for the length of the block; it is reachable at the start.

    An embedded one is started here, and restarted if it ends. With `use_running`, one that
    a running Relay has started is used instead. Raises NoDatabase, EmbeddedError.
    """
    if settings.database_url is not None:
        url, direct = settings.database_url, settings.database_direct_url
        await require_reachable("DATABASE_URL", url, settings.database_timeout)
        if direct is not None:
            await require_reachable("RELAY_DATABASE_DIRECT_URL", direct, settings.database_timeout)
        description = "with the Postgres at DATABASE_URL"
        yield Source(url, direct or url, settings.signing_keys, description, None, shared=True)
        return
    folder = settings.data_dir
    if use_running and folder.exists() and (dsn := find_running_dsn(folder)) is not None:
        keys = settings.signing_keys or await trio.to_thread.run_sync(_load_or_create_keys, folder)
        description = f"beside a serving Relay in {folder}"
        yield Source(dsn, dsn, keys, description, None, shared=True)
        return
    async with trio.open_nursery() as nursery:
        connections = max(MIN_EMBEDDED_CONNECTIONS, connections_wanted(settings))
        dsn = await nursery.start(_keep_running, folder, connections)
        keys = settings.signing_keys or await trio.to_thread.run_sync(_load_or_create_keys, folder)
        description = f"with an embedded Postgres in {folder}"
        yield Source(dsn, dsn, keys, description, folder, shared=settings.workers > 1)
        nursery.cancel_scope.cancel()


def connections_wanted(settings: Settings) -> int:
    """The connections that all workers may open, with one more worker during a replacement."""
    processes = settings.workers + (settings.workers > 1)
    return (
        processes * (settings.database_connections + CONNECTIONS_OUTSIDE_POOL) + SPARE_CONNECTIONS
    )


async def warn_about_few_connections(dsn: str, settings: Settings) -> None:
    """Log a warning if the database allows fewer connections than the workers may open.

    It is only a warning because the limit does not apply behind a pooler. Raises DatabaseAway.
    """
    async with connect(dsn, timeout=settings.database_timeout) as connection:
        rows = await connection.fetch("SELECT current_setting('max_connections')::int AS allowed")
    allowed, wanted = rows[0]["allowed"], connections_wanted(settings)
    if allowed < wanted:
        log.warning("database_connections_short", allowed=allowed, wanted=wanted)


async def require_reachable(setting: str, dsn: str, timeout: float) -> None:
    """Wait until the database answers. Raises NoDatabase after `REACHABLE_WITHIN_SECONDS`."""
    try:
        await _wait_until_reachable(dsn, within=REACHABLE_WITHIN_SECONDS, timeout=timeout)
    except DatabaseAway as error:
        cause = error.__cause__
        reason = str(cause) or type(cause).__name__
        raise NoDatabase(f"{setting}: the database does not answer: {reason}") from error
    except (StatementFailed, ValueError) as error:
        raise NoDatabase(f"{setting} is not a valid database URL: {error}") from error


async def _wait_until_reachable(dsn: str, *, within: float, timeout: float) -> None:
    """Try to connect until it works. Raises DatabaseAway, with a cause, after `within` seconds."""
    deadline = trio.current_time() + within
    while True:
        try:
            async with connect(dsn, timeout=timeout):
                return
        except DatabaseAway:
            if trio.current_time() >= deadline:
                raise
        await trio.sleep(0.25)


async def _keep_running(
    folder: Path,
    connections: int,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run the embedded Postgres. The first start must succeed; later ones are tried again."""
    started, pause = False, 0.1
    while True:
        try:
            async with running_postgres(
                folder, stop_timeout=STOP_TIMEOUT_SECONDS, connections=connections
            ) as postgres:
                if not started:
                    task_status.started(postgres.dsn)
                else:
                    log.warning("postgres_back")
                started, pause = True, 0.1
                log.error("postgres_died", reason=await postgres.wait_until_ended())
        except EmbeddedError as error:
            if not started:
                raise
            log.error("postgres_restart_failed", reason=str(error))
        await trio.sleep(pause)
        pause = min(pause * 2, MAX_RESTART_PAUSE_SECONDS)


def _load_or_create_keys(folder: Path) -> tuple[SigningKey, ...]:
    """Read the data folder's signing keys; create them the first time. Raises NoDatabase."""
    path = folder / "signing.keys"
    try:
        if not path.exists():
            _create_keys(path)
        return signing_keys(path.read_text())
    except OSError as error:
        raise NoDatabase(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise NoDatabase(f"{path} {error}") from error


def _create_keys(path: Path) -> None:
    """Write the file as a whole, unless another process does so now: a command beside `serve`."""
    draft = path.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if path.exists():
            draft.unlink(missing_ok=True)
            return
        file.truncate(0)  # of a process that was killed here
        file.write(f"k1:{secrets.token_urlsafe(48)}\n")
        file.flush()
        os.fsync(file.fileno())
        draft.rename(path)
    # Also the name: rows that are signed with a key that is gone have no use.
    sync_folder(path.parent)


async def bring_up_to_date(dsn: str, *, apply: bool, timeout: float) -> list[Migration]:
    """Apply pending migrations; with `apply` off, raise MigrationError if there are any.

    Raises MigrationError, DatabaseAway.
    """
    migrations = load_migrations(packaged("sql"))
    async with connect(dsn, timeout=timeout) as connection:
        if apply:
            return await migrate(connection, migrations)
        if todo := pending_migrations(migrations, await applied_migrations(connection)):
            raise MigrationError(
                f"{len(todo)} migrations are pending and RELAY_AUTO_MIGRATE is off:"
                " run `relay migrate`"
            )
        return []
