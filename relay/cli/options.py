"""The options --url and --token of the commands that call Relay's API."""

from collections.abc import Callable
from typing import Any

import click

from relay.cli.completion import known_relays
from relay.cli.exit_codes import credentials_missing
from relay.client.credentials import Credentials, NoCredentials, find_credentials


def relay_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--url` and `--token`. The environment and the credentials file are their defaults."""
    token = click.option(
        "--token",
        metavar="TOKEN",
        help="Token [RELAY_TOKEN]. Other users can see this option in `ps`.",
    )
    url = click.option(
        "--url",
        metavar="URL",
        help="Relay's address [RELAY_URL].",
        shell_complete=known_relays,
    )
    return url(token(command))


def credentials(url: str | None, token: str | None) -> Credentials:
    """The credentials for this call. Raises Failed if there are none."""
    try:
        return find_credentials(url, token)
    except NoCredentials as error:
        raise credentials_missing(error) from error
