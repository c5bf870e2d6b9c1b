"""Logs that background work fails at the database: an outage quietly, a refusal as an error, once.

The work tries again after both. An outage ends by itself, and the check of revocations logs it for
the whole process. A statement is refused because of the schema, or of Relay's rights in it, which
a person has to mend.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from relay.db.pool import DATABASE_ERRORS, StatementFailed


class WorkFailures:
    """The failures of one kind of background work, of a process.

    `waits` and `refused` are the events in the log of an outage and of a refusal.
    """

    def __init__(self, logger: str, *, waits: str, refused: str) -> None:
        self._log = structlog.get_logger(logger)
        self._waits = waits
        self._refused = refused
        self._known: set[str] = set()  # refusals that are in the log, by the database's error
        self._failed = False

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Make one attempt. A failure at the database ends it, and is logged."""
        self.begin_attempt()
        try:
            yield
        except DATABASE_ERRORS as error:
            self.note(error)

    def begin_attempt(self) -> None:
        """Note that the work begins anew. An attempt without a failure ends the refusals."""
        if not self._failed:
            self._known.clear()
        self._failed = False

    def note(self, error: Exception) -> None:
        """Log a failure of this attempt; a refusal that is in the log already only at debug."""
        self._failed = True
        if not isinstance(error, StatementFailed):
            self._log.debug(self._waits, error=type(error).__name__)
            return
        name = type(error.__cause__).__name__
        if name in self._known:
            self._log.debug(self._refused, error=name)
        else:
            self._known.add(name)
            self._log.error(self._refused, error=name)
