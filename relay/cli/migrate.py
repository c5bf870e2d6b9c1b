"""`relay migrate`: apply pending migrations, or list them."""

import click
import trio

from relay.cli.data_dir import data_dir_option
from relay.cli.operator_database import operator_settings
from relay.cli.output import show
from relay.config.resources import packaged
from relay.config.settings import Settings
from relay.db.migrate import applied_migrations, load_migrations, pending_migrations
from relay.db.pool import connect
from relay.db.source import bring_up_to_date, open_source


@click.command("migrate")
@click.option("--status", is_flag=True, help="Only list applied and pending migrations.")
@data_dir_option
def command(status: bool, data_dir: str | None) -> None:
    """Apply pending database migrations. Safe to run on several machines at once.

    \b
    Examples:
      DATABASE_URL=postgresql://… relay migrate
      relay migrate --status        exit code 3 if some are pending
    """
    with operator_settings(data_dir) as settings:
        todo = trio.run(_status if status else _apply, settings)
    if status and todo:
        raise SystemExit(3)


async def _apply(settings: Settings) -> int:
    async with open_source(settings, use_running=True) as source:
        done = await bring_up_to_date(source.direct, apply=True, timeout=settings.database_timeout)
    for migration in done:
        show(f"applied {migration.file}")
    show(f"The database is up to date; applied now: {len(done)}.")
    return 0


async def _status(settings: Settings) -> int:
    migrations = load_migrations(packaged("sql"))
    async with (
        open_source(settings, use_running=True) as source,
        connect(source.direct, timeout=settings.database_timeout) as connection,
    ):
        applied = await applied_migrations(connection)
        todo = pending_migrations(migrations, applied)
    for migration, before in zip(migrations, applied, strict=False):
        show(f"applied  {before.applied_at:%Y-%m-%d %H:%M}  {migration.file}")
    for migration in todo:
        show(f"pending                    {migration.file}")
    return len(todo)
