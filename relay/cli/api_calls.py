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
    find_any_credentials,
    find_credentials,
    save_credentials,
)
from relay.client.refused_token import what_to_do


@contextmanager
def report_refusals(found: Credentials | None = None) -> Iterator[None]:
    """Turn refusals and missing credentials into one line on stderr and an exit code.

    `found` are the credentials in use: the line says what to do if Relay refuses their token.
    """
    try:
        yield
    except NoCredentials as error:
        raise credentials_missing(error) from error
    except ApiError as error:
        raise _failure(error, found) from error


def _failure(error: ApiError, found: Credentials | None) -> click.ClickException:
    if error.is_authorization_error:
        is_of_token = error.status == 401 or error.code == "insufficient_scope"
        hint = f" {what_to_do(error.code, found)}" if found and is_of_token else ""
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
    with report_refusals(found), ApiClient(found.url, found.token) as relay:
        yield relay, found


@contextmanager
def any_credentials(url: str | None, token: str | None) -> Iterator[Credentials]:
    """The session token, or the hook token if there is none; refusals of it are reported."""
    with report_refusals():
        found = find_any_credentials(url, token)
    with report_refusals(found):
        yield found
