"""What every command that speaks to a Relay has in common: whom it asks, and how it fails."""

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
    """Turn what Relay refuses, and what is missing to ask it, into one line and an exit code."""
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
            hint = " For one that may: `relay login`, without RELAY_TOKEN and --token."
        return Failed(f"{error}{hint}", NOT_AUTHORISED)
    return Failed(str(error), AWAY) if error.for_now else click.ClickException(str(error))


def save(kept: CredentialsFile) -> None:
    """Keep the file of credentials, or say why not."""
    try:
        save_credentials(kept)
    except OSError as error:
        why = f"{credentials_path()} cannot be written: {error.strerror}"
        raise click.ClickException(why) from error


@contextmanager
def asking(url: str | None, token: str | None) -> Iterator[tuple[Asking, Credentials]]:
    """The Relay that is meant, asked with a session."""
    with told():
        found = find_credentials(url, token, session=True)
        with Asking(found.url, found.token) as relay:
            yield relay, found
