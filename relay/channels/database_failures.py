"""How the background work of the outbox logs that it fails at the database."""

from relay.db.work_failures import WorkFailures


def database_failures() -> WorkFailures:
    """The failures of one kind of this work, under the names that all of it has in the log."""
    return WorkFailures("relay.channels", waits="channels_wait", refused="channels_refused")
