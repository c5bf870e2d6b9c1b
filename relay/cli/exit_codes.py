"""Exit codes of the commands that call Relay's API.

All commands use 0 (done), 1 (failed) and 2 (wrong usage). 3 is `relay migrate --status`,
and an ask that was withdrawn.
"""

import click

from relay.client.credentials import InvalidAddress, NoAuthorities, NoCredentials

WRONG_USAGE = 2  # the command line, or a variable of the environment; click uses it too
NOT_AUTHORISED = 4  # no valid token: retrying does not help
ASK_WITHDRAWN = 3
ASK_FAILED = 7  # so that no failure looks like the answer 1
ASK_EXPIRED = NOT_ENDED = 124  # out of time, as of timeout(1)
INTERRUPTED = 130  # 128 + SIGINT, as in shells
RELAY_AWAY = 5  # Relay did not answer in time: retrying later may help
NOT_SUCCEEDED = 6  # the run that `relay log --follow` followed ended without success


class Failed(click.ClickException):
    """One line on stderr, and an exit code."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc] # click reads it from the instance


def credentials_missing(error: NoCredentials) -> Failed:
    """The failure of a command that has no usable credentials."""
    is_setting = isinstance(error, InvalidAddress | NoAuthorities)
    return Failed(str(error), WRONG_USAGE if is_setting else NOT_AUTHORISED)
