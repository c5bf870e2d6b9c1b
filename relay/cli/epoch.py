"""`relay epoch --renew`: after a restore, tell every reader that the numbering began anew."""

import os

import click
import trio

from relay.cli.failures import told_clearly
from relay.config.settings import Settings
from relay.config.unknown_variables import note_misspelt
from relay.db.pool import open_database
from relay.db.retention import renew_epochs
from relay.db.source import bring_up_to_date, open_source
from relay.observability.logs import configure_logs


@click.command("epoch")
@click.option("--renew", is_flag=True, required=True, help="Give every stream a new epoch.")
@click.option("--data-dir", metavar="FOLDER", help="Embedded database and keys [.relay].")
def command(renew: bool, data_dir: str | None) -> None:
    """Mark every stream as begun anew, because its numbers cannot be trusted any more.

    After a restore from a backup, seqs that readers have seen are given out a second time. With
    a new epoch, every cursor from before leads to `resumed: false` and the oldest stored event,
    instead of to silently missing ones. Do it after the restore and before serving again.

    \b
    Example:
      relay epoch --renew
    """
    with told_clearly():
        settings = Settings.load(os.environ, data_dir=data_dir)
        configure_logs("warning")
        note_misspelt(os.environ)
        renewed = trio.run(_renew, settings)
    click.echo(f"Streams with a new epoch: {renewed}.")


async def _renew(settings: Settings) -> int:
    async with open_source(settings, beside=True) as source:
        await bring_up_to_date(
            source.direct, apply=settings.auto_migrate, timeout=settings.database_timeout
        )
        async with open_database(source.direct, connections=2, timeout=600) as database:
            return await renew_epochs(database)
