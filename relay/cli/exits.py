"""How producers' commands end: one exit code for each thing that somebody may want to tell apart.

0, 1 and 2 are everybody's: done, failed, a wrong command line. 3 is `relay migrate --status`.
"""

import click

from relay.client.credentials import NoAddress, NoCredentials

WRONG = 2  # click's own, too, for what it cannot parse
NOT_AUTHORISED = 4  # no token, or one that does not count: a person has to do something
INTERRUPTED = 130  # 128 + SIGINT, as shells say it
AWAY = 5  # Relay did not answer in time: the same may work later


class Failed(click.ClickException):
    """One line on stderr, and an exit code."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc] # click reads it where it is set


def lacking(error: NoCredentials) -> Failed:
    """What is missing to ask a Relay, as a command's end."""
    return Failed(str(error), WRONG if isinstance(error, NoAddress) else NOT_AUTHORISED)
