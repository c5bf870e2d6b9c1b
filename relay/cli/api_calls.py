"""Common to all commands that call Relay's API: finding the credentials and reporting failures."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from relay.cli.exit_codes import NOT_AUTHORISED, RELAY_AWAY, Failed, credentials_missing
from relay.client.api_client import ApiClient, ApiError
from relay.client.credentials import (
    Credentials,
    CredentialsFile,
    NoCredentials,
    credentials_path,
    find_credentials,
    save_credentials,
)


@contextmanager
def report_refusals() -> Iterator[None]:
    """Turn refusals and missing credentials into one line on stderr and an exit code."""
    try:
        yield
    except NoCredentials as error:
        raise credentials_missing(error) from error
    except ApiError as error:
        raise _failure(error) from error


def _failure(error: ApiError) -> click.ClickException:
    if error.is_authorization_error:
        hint = ""
        if error.status == 401:
            hint = " Run `relay login`."
        elif error.code == "insufficient_scope":
            hint = " Unset RELAY_TOKEN, leave out --token, and run `relay login`."
        return Failed(f"{error}{hint}", NOT_AUTHORISED)
    return (
        Failed(str(error), RELAY_AWAY) if error.is_temporary else click.ClickException(str(error))
    )


def store_credentials(stored: CredentialsFile) -> None:
    """Write the credentials file. Raises ClickException if that fails."""
    try:
        save_credentials(stored)
    except OSError as error:
        why = f"{credentials_path()} cannot be written: {error.strerror}"
        raise click.ClickException(why) from error


@contextmanager
def open_api(url: str | None, token: str | None) -> Iterator[tuple[ApiClient, Credentials]]:
    """Open a connection to the selected Relay, with its session token."""
    with report_refusals():
        found = find_credentials(url, token, session=True)
        with ApiClient(found.url, found.token) as relay:
            yield relay, found
