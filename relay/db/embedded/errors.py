"""The error of the embedded Postgres, with a message for the operator."""


class EmbeddedError(Exception):
    """The embedded Postgres cannot run. The message is one line, which is shown as it is."""
