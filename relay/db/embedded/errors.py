"""What the person who starts Relay is told when there is no database to be had."""


class EmbeddedError(Exception):
    """The embedded Postgres cannot serve: one clear line, shown as it is."""
