"""Keeps out of a server what its libraries import only because it is installed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

UNUSED = (
    "rich",  # structlog would print failures in colours; Relay's log is JSON
)


@contextmanager
def without_unused_packages() -> Iterator[None]:
    """Let the import of these fail in the block, unless they are imported already."""
    absent = [name for name in UNUSED if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
