"""Common to all commands that call Relay's API: finding the credentials and reporting failures."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from relay.cli.exits import AWAY, NOT_AUTHORISED, Failed, lacking
from relay.client.asking import Asking, Refused
from relay.client.credentials import (
    Credentials,
    CredentialsFile,
    NoCredentials,
    credentials_path,
    find_credentials,
    save_credentials,
)


@contextmanager
def told() -> Iterator[None]:
    """Turn refusals and missing credentials into one line on stderr and an exit code."""
    try:
        yield
    except NoCredentials as error:
        raise lacking(error) from error
    except Refused as error:
        raise _failure(error) from error


def _failure(error: Refused) -> click.ClickException:
    if error.of_the_credential:
        hint = ""
        if error.status == 401:
            hint = " Run `relay login`."
        elif error.code == "insufficient_scope":
            hint = " Unset RELAY_TOKEN, leave out --token, and run `relay login`."
        return Failed(f"{error}{hint}", NOT_AUTHORISED)
    return Failed(str(error), AWAY) if error.for_now else click.ClickException(str(error))


def save(kept: CredentialsFile) -> None:
    """Write the credentials file. Raises ClickException if that fails."""
    try:
        save_credentials(kept)
    except OSError as error:
        why = f"{credentials_path()} cannot be written: {error.strerror}"
        raise click.ClickException(why) from error


@contextmanager
def asking(url: str | None, token: str | None) -> Iterator[tuple[Asking, Credentials]]:
    """Open a connection to the selected Relay, with its session token."""
    with told():
        found = find_credentials(url, token, session=True)
        with Asking(found.url, found.token) as relay:
            yield relay, found
