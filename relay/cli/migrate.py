"""`relay migrate`: bring the database to this version, or see how far it is."""

import os

import click
import trio

from relay.cli.failures import told_clearly
from relay.config.resources import packaged
from relay.config.settings import Settings
from relay.config.unknown_variables import note_misspelt
from relay.db.migrate import applied_migrations, load_migrations, pending
from relay.db.pool import connect
from relay.db.source import bring_up_to_date, open_source
from relay.observability.logs import configure_logs


@click.command("migrate")
@click.option("--status", is_flag=True, help="Only show what is applied and what is pending.")
@click.option("--data-dir", metavar="FOLDER", help="Embedded database and keys [.relay].")
def command(status: bool, data_dir: str | None) -> None:
    """Apply the migrations of this version, once, whoever else does the same.

    \b
    Examples:
      DATABASE_URL=postgresql://… relay migrate
      relay migrate --status        exit code 3 when some are pending
    """
    with told_clearly():
        settings = Settings.load(os.environ, data_dir=data_dir)
        configure_logs("warning")
        note_misspelt(os.environ)
        todo = trio.run(_status if status else _apply, settings)
    if status and todo:
        raise SystemExit(3)


async def _apply(settings: Settings) -> int:
    async with open_source(settings, beside=True) as source:
        done = await bring_up_to_date(source.direct, apply=True, timeout=settings.database_timeout)
    for migration in done:
        click.echo(f"applied {migration.file}")
    click.echo(f"The database is up to date; applied now: {len(done)}.")
    return 0


async def _status(settings: Settings) -> int:
    migrations = load_migrations(packaged("sql"))
    async with (
        open_source(settings, beside=True) as source,
        connect(source.direct, timeout=settings.database_timeout) as connection,
    ):
        applied = await applied_migrations(connection)
        todo = pending(migrations, applied)
    for migration, before in zip(migrations, applied, strict=False):
        click.echo(f"applied  {before.applied_at:%Y-%m-%d %H:%M}  {migration.file}")
    for migration in todo:
        click.echo(f"pending                    {migration.file}")
    return len(todo)
