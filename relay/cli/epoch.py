"""`relay epoch --renew`: give every stream a new epoch after a restore."""

import os

import click
import trio

from relay.cli.failures import report_known_failures
from relay.cli.output import show
from relay.config.settings import Settings
from relay.config.unknown_variables import log_unknown_variables
from relay.db.epochs import renew_epochs
from relay.db.pool import open_database
from relay.db.source import bring_up_to_date, open_source
from relay.observability.logs import configure_logs


@click.command("epoch")
@click.option("--renew", is_flag=True, required=True, help="Give every stream a new epoch.")
@click.option("--data-dir", metavar="FOLDER", help="Folder of the database and the keys [.relay].")
def command(renew: bool, data_dir: str | None) -> None:
    """Give every stream a new epoch after a restore from a backup.

    A restored database gives new events numbers that readers have already seen. With a new epoch,
    readers with an older cursor start over at the oldest stored event (`resumed: false`) instead
    of silently missing events. Run it after the restore and before you serve again.

    \b
    Example:
      relay epoch --renew
    """
    with report_known_failures():
        settings = Settings.load(os.environ, data_dir=data_dir)
        configure_logs("warning")
        log_unknown_variables(os.environ)
        renewed = trio.run(_renew, settings)
    show(f"Streams with a new epoch: {renewed}.")


async def _renew(settings: Settings) -> int:
    async with open_source(settings, use_running=True) as source:
        await bring_up_to_date(
            source.direct, apply=settings.auto_migrate, timeout=settings.database_timeout
        )
        async with open_database(source.direct, connections=2, timeout=600) as database:
            return await renew_epochs(database)
