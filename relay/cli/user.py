"""`relay user create`: creates a user, for a Relay with closed sign-up."""

import os
from functools import partial

import click
import trio

from relay.auth.tokens import Keyring
from relay.auth.users import make_user
from relay.cli.failures import report_known_failures
from relay.cli.output import note, show
from relay.config.settings import Settings
from relay.config.unknown_variables import log_unknown_variables
from relay.db.pool import open_database
from relay.db.source import bring_up_to_date, open_source
from relay.observability.logs import configure_logs


@click.group("user")
def command() -> None:
    """Create users as the operator."""


@command.command("create")
@click.option("--data-dir", metavar="FOLDER", help="Folder of the database and the keys [.relay].")
def create(data_dir: str | None) -> None:
    """Create a user and print its session token, which is not shown again.

    \b
    BASE_URL must be the same as for `relay serve`: the token is valid only there.
    Example:
      BASE_URL=https://relay.example.com DATABASE_URL=postgresql://… relay user create
    """
    with report_known_failures():
        settings = Settings.load(os.environ, data_dir=data_dir)
        configure_logs("warning")
        log_unknown_variables(os.environ)
        base_url = settings.base_url or f"http://{settings.bind}"
        user_id, token = trio.run(partial(_create, settings, base_url))
    show(f"user_id        {user_id}")
    show(f"session_token  {token}")
    note(f"A user was created. The token is valid only where BASE_URL is {base_url}.")
    note("It is not shown again.")
    note(f"To connect a terminal, give it to: relay login {base_url} --with-token")


async def _create(settings: Settings, base_url: str) -> tuple[str, str]:
    async with open_source(settings, use_running=True) as source:
        await bring_up_to_date(
            source.direct, apply=settings.auto_migrate, timeout=settings.database_timeout
        )
        async with open_database(
            source.direct, connections=2, timeout=settings.database_timeout
        ) as database:
            user_id, token, _ = await make_user(database, Keyring(source.keys, base_url))
    return str(user_id), token
