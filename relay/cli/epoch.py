"""`relay epoch --renew`: give every stream a new epoch after a restore."""

import click
import trio

from relay.cli.data_dir import data_dir_option
from relay.cli.operator_database import operator_database, operator_settings
from relay.cli.output import show
from relay.config.settings import Settings
from relay.db.epochs import renew_epochs

RENEWAL_TIMEOUT_SECONDS = 600  # one statement, which writes a row of each user


@click.command("epoch")
@click.option("--renew", is_flag=True, required=True, help="Give every stream a new epoch.")
@data_dir_option
def command(renew: bool, data_dir: str | None) -> None:
    """Give every stream a new epoch after a restore from a backup.

    A restored database gives new events numbers that readers have already seen. With a new epoch,
    readers with an older cursor start over at the oldest stored event (`resumed: false`) instead
    of silently missing events. Run it after the restore and before you serve again.

    \b
    Example:
      relay epoch --renew
    """
    with operator_settings(data_dir) as settings:
        renewed = trio.run(_renew, settings)
    show(f"Streams with a new epoch: {renewed}.")


async def _renew(settings: Settings) -> int:
    async with operator_database(settings, timeout=RENEWAL_TIMEOUT_SECONDS) as (_, database):
        return await renew_epochs(database)
