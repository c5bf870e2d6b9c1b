"""Reports known failures as one line and exit code 1, without a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from relay.client.plain_text import without_error_number
from relay.config.settings import SettingError
from relay.db.embedded import EmbeddedError
from relay.db.migrate import MigrationError
from relay.db.source import NoDatabase
from relay.errors import Problem
from relay.observability.exceptions import leaves
from relay.server.listeners import ListenError
from relay.server.serve import LifespanEnded, StartupFailed
from relay.workers.worker_process import WorkerFailed

KNOWN_FAILURES = (
    EmbeddedError,
    LifespanEnded,
    ListenError,
    MigrationError,
    NoDatabase,
    Problem,
    SettingError,
    StartupFailed,
    WorkerFailed,
)


@contextmanager
def report_known_failures() -> Iterator[None]:
    """Turn known failures, alone or in an exception group, into a ClickException."""
    try:
        yield
    except KNOWN_FAILURES as error:
        raise click.ClickException(_line(error)) from error
    except BaseExceptionGroup as group:
        failures = list(leaves(group))
        known = [leaf for leaf in failures if isinstance(leaf, KNOWN_FAILURES)]
        if known and len(known) == len(failures):
            raise click.ClickException(_line(known[0])) from group
        raise


def _line(error: BaseException) -> str:
    cause = error.__cause__ if isinstance(error, Problem) else None
    return without_error_number(f"{error} ({cause})" if cause is not None else str(error))
