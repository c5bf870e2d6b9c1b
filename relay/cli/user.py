"""`relay user create`: creates a user, for a Relay with closed sign-up."""

from functools import partial
from pathlib import Path

import click
import trio

from relay.auth.tokens import Keyring
from relay.auth.users import make_user
from relay.cli.data_dir import data_dir_option
from relay.cli.operator_database import operator_database, operator_settings
from relay.cli.output import note, show
from relay.config.hypercorn import server_config
from relay.config.settings import Settings
from relay.server.listeners import expected_address
from relay.server_process import client_url


@click.group("user")
def command() -> None:
    """Create users as the operator."""


@command.command("create")
@data_dir_option
def create(data_dir: str | None) -> None:
    """Create a user and print its session token, which is not shown again.

    \b
    BASE_URL must be the same as for `relay serve`: the token is valid only there.
    Example:
      BASE_URL=https://relay.example.com DATABASE_URL=postgresql://… relay user create
    """
    with operator_settings(data_dir) as settings:
        base_url = settings.base_url or _address_of_serve(settings)
        user_id, token = trio.run(partial(_create, settings, base_url))
    show(f"user_id        {user_id}")
    show(f"session_token  {token}")
    note(f"A user was created. The token is valid only where BASE_URL is {base_url}.")
    note("It is not shown again.")
    note(f"To connect a terminal, give it to: relay login {base_url} --with-token")


def _address_of_serve(settings: Settings) -> str:
    """The base URL of `relay serve` in this folder, without BASE_URL. Raises ListenError."""
    return client_url(expected_address(server_config(settings, Path.cwd())))


async def _create(settings: Settings, base_url: str) -> tuple[str, str]:
    async with operator_database(settings) as (source, database):
        user_id, token, _ = await make_user(database, Keyring(source.keys, base_url))
    return str(user_id), token
