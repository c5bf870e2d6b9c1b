"""Relay: receives webhook events and streams them live to the devices of one user."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relay.client.reported_task import task
    from relay.client.task_query import tasks

    __version__: str

__all__ = ["DISTRIBUTION", "__version__", "task", "tasks"]

DISTRIBUTION = "relay-streams"  # the name that pip knows; `relay` is another project's there


def __getattr__(name: str) -> Any:
    """Import the client and look up `__version__` on first use: both take time at import."""
    if name in ("task", "tasks"):
        from relay import client

        return getattr(client, name)
    if name == "__version__":
        from importlib.metadata import version

        return version(DISTRIBUTION)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
