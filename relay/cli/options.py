"""What the commands of producers and viewers have in common: where Relay is, and the token."""

from collections.abc import Callable
from typing import Any

import click

from relay.cli.completing import known_relays
from relay.cli.exits import lacking
from relay.client.credentials import Credentials, NoCredentials, find_credentials


def relay_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--url` and `--token`; without them the environment counts, then the credentials' file."""
    token = click.option(
        "--token",
        metavar="TOKEN",
        help="A token [RELAY_TOKEN]; given here, others see it in `ps`.",
    )
    url = click.option(
        "--url",
        metavar="URL",
        help="Relay's address [RELAY_URL].",
        shell_complete=known_relays,
    )
    return url(token(command))


def credentials(url: str | None, token: str | None) -> Credentials:
    """Those of this call. Raises Failed where there are none."""
    try:
        return find_credentials(url, token)
    except NoCredentials as error:
        raise lacking(error) from error
