"""Keeps event loops out of the commands that use none: to import one takes a third of a start."""

import sys

EVENT_LOOPS = ("anyio", "trio")  # which the HTTP library imports where they are installed


def forbid_event_loops() -> None:
    """Spare a producer's and a viewer's start the import of what it does not use."""
    for name in EVENT_LOOPS:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]


def allow_event_loops() -> None:
    """Undo that, before the import of a part that runs one."""
    for name in EVENT_LOOPS:
        if name in sys.modules and sys.modules[name] is None:
            del sys.modules[name]
