"""Names the extra whose packages a command needs, where they are missing."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from relay import DISTRIBUTION


def missing_extra(command: str, extra: str, module: str) -> click.ClickException:
    """The failure of a command because a module is missing."""
    return click.ClickException(
        f"`{command}` needs the packages of the extra `{extra}` ({module} is missing):"
        f" install {DISTRIBUTION}[{extra}]"
    )


@contextmanager
def needs_extra(command: str, extra: str) -> Iterator[None]:
    """Import modules of ours in the block. Raises ClickException if they need what is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("relay"):
            raise
        raise missing_extra(command, extra, error.name) from error
