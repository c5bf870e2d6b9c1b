"""Relay: webhook events in, one private, durable, resumable live stream per user out."""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relay.client import task

__version__ = version("relay")
__all__ = ["__version__", "task"]


def __getattr__(name: str) -> Any:
    """`relay.task` for producers; a server has no use for it, and does not import it."""
    if name == "task":
        from relay.client import task

        return task
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
