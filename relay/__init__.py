"""Relay: webhook events in, one private, durable, resumable live stream per user out."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relay.client import task

    __version__: str

__all__ = ["__version__", "task"]


def __getattr__(name: str) -> Any:
    """What costs time to have, for those who ask: producers want one, a server the other."""
    if name == "task":
        from relay.client import task

        return task
    if name == "__version__":
        from importlib.metadata import version

        return version("relay")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
