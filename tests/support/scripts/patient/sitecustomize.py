"""Python on a machine of recipes: a program's end waits for Relay as long as slow machines take."""

from contextlib import suppress

with suppress(ImportError):
    from relay.client import Client

    Client.close.__defaults__ = (3_600.0,)
