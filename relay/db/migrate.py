"""Raw SQL migrations: forward only, in order, each once even if several processes start at once.

Each `sql/NNNN_name.sql` runs in a transaction of its own under one advisory lock. The table
`schema_migrations` records what was applied, with a checksum. A file that changed since is
refused, because the database then differs from the files.
"""

import hashlib
import re
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec

from relay.db.pool import DatabaseConnection, Row, StatementFailed

# Any number that no other program uses for an advisory lock: "RELAY" in ASCII.
_ADVISORY_LOCK = 0x52_45_4C_41_59

_TIMEOUT_SECONDS = 600  # seconds one migration, or the wait for another process's, may take

_FILE = re.compile(r"(\d{4})_(\w+)\.sql")


class MigrationError(Exception):
    """The files and the database contradict each other, as the message explains."""


class Migration(msgspec.Struct, frozen=True):
    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def file(self) -> str:
        return f"{self.version:04}_{self.name}.sql"


class AppliedMigration(msgspec.Struct, frozen=True):
    version: int
    name: str
    checksum: str
    applied_at: datetime


def load_migrations(folder: Path) -> list[Migration]:
    """Read the files in order. Raises MigrationError if a number is missing or there twice."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    found = [
        Migration(int(match[1]), match[2], path.read_text(encoding="utf-8"))
        for path in paths
        if (match := _FILE.fullmatch(path.name))
    ]
    if [migration.version for migration in found] != list(range(1, len(found) + 1)) or not found:
        raise MigrationError(f"the migrations in {folder} are not numbered 0001, 0002, …")
    return found


class _CanFetch(Protocol):
    async def fetch(self, sql: str, *args: object) -> list[Row]: ...


async def applied_migrations(connection: _CanFetch) -> list[AppliedMigration]:
    """The applied migrations as the database records them, in order; none if it is empty."""
    present = await connection.fetch("SELECT to_regclass('schema_migrations') IS NOT NULL AS yes")
    if not present[0]["yes"]:
        return []
    rows = await connection.fetch(
        "SELECT version, name, checksum, applied_at FROM schema_migrations ORDER BY version"
    )
    return [AppliedMigration(**row) for row in rows]


def pending_migrations(
    migrations: list[Migration], applied: list[AppliedMigration], *, newer: bool = False
) -> list[Migration]:
    """The migrations still to be applied. Raises MigrationError if the history differs.

    A database with more migrations than the files is refused, too, unless `newer` is set: for a
    process that still serves after its successor has migrated.
    """
    for before, migration in zip(applied, migrations, strict=False):
        if (before.version, before.checksum) != (migration.version, migration.checksum):
            raise MigrationError(
                f"{migration.file} is not what was applied to this database on"
                f" {before.applied_at:%Y-%m-%d}; applied migrations never change, add a new one"
            )
    if len(applied) > len(migrations) and not newer:
        raise MigrationError(
            f"the database was migrated to version {applied[-1].version} by a newer Relay;"
            f" this one knows {len(migrations)}"
        )
    return migrations[len(applied) :]


async def migrate(connection: DatabaseConnection, migrations: list[Migration]) -> list[Migration]:
    """Apply the pending migrations and return them.

    A migration that fails changes nothing. Raises MigrationError.
    """
    # On any error the caller closes the connection, which releases the lock.
    await connection.execute(f"SELECT pg_advisory_lock({_ADVISORY_LOCK})", timeout=_TIMEOUT_SECONDS)
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations ("
        " version integer PRIMARY KEY,"
        " name text NOT NULL,"
        " checksum text NOT NULL,"
        " applied_at timestamptz NOT NULL DEFAULT now())"
    )
    todo = pending_migrations(migrations, await applied_migrations(connection))
    for migration in todo:
        try:
            await connection.execute(_script(migration), timeout=_TIMEOUT_SECONDS)
        except StatementFailed as error:
            raise MigrationError(f"{migration.file} failed, nothing changed: {error}") from error
    await connection.execute(f"SELECT pg_advisory_unlock({_ADVISORY_LOCK})")
    return todo


def _script(migration: Migration) -> str:
    """The migration and its record, in one transaction. Both values are word characters only."""
    return (
        f"BEGIN;\n{migration.sql}\n;"
        "INSERT INTO schema_migrations (version, name, checksum) VALUES"
        f" ({migration.version}, '{migration.name}', '{migration.checksum}');\n"
        "COMMIT;"
    )
