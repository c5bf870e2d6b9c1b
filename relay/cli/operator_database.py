"""What the operator's commands begin with: the settings, then the database, brought up to date."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from relay.cli.failures import report_known_failures
from relay.config.settings import Settings
from relay.config.unknown_variables import log_unknown_variables
from relay.db.pool import Database, open_database
from relay.db.source import Source, bring_up_to_date, open_source
from relay.observability.logs import configure_logs

CONNECTIONS = 2  # a command does one thing at a time, and perhaps one beside it


@contextmanager
def operator_settings(data_dir: str | None) -> Iterator[Settings]:
    """Load the settings. Known failures in the block are raised as ClickException."""
    with report_known_failures():
        settings = Settings.load(os.environ, data_dir=data_dir)
        configure_logs("warning")
        log_unknown_variables(os.environ)
        yield settings


@asynccontextmanager
async def operator_database(
    settings: Settings, *, timeout: float | None = None
) -> AsyncIterator[tuple[Source, Database]]:
    """Open the database that Relay serves, after its migrations, with where it was found.

    `timeout`: seconds that a statement may take, if not those of the settings. Raises NoDatabase,
    EmbeddedError, MigrationError, DatabaseAway.
    """
    async with open_source(settings, use_running=True) as source:
        await bring_up_to_date(
            source.direct, apply=settings.auto_migrate, timeout=settings.database_timeout
        )
        async with open_database(
            source.direct,
            connections=CONNECTIONS,
            timeout=settings.database_timeout if timeout is None else timeout,
        ) as database:
            yield source, database
