"""The log context: fields of a task's request or connection, which are added to its log lines.

structlog's contextvars use one variable a field. This is one variable with a dictionary, because
it is set for every request and read only when a line is written. A request's tasks share its
dictionary, and the connection's dictionary stays unchanged.
"""

from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import MappingProxyType
from typing import Any

Known = Mapping[str, Any]

_NOTHING: Known = MappingProxyType({})
_known: ContextVar[Known] = ContextVar("relay_log", default=_NOTHING)


def about(**facts: Any) -> Token[Known]:
    """Add fields to the lines of this task and its children. Undo with the returned token."""
    return _known.set({**_known.get(), **facts})


def forget(token: Token[Known]) -> None:
    """Restore the context from before the `about` that returned the token."""
    _known.reset(token)


def know(**facts: Any) -> None:
    """Add fields to the context of the innermost `about`; does nothing without one."""
    known = _known.get()
    if isinstance(known, dict):
        known.update(facts)


def known() -> Known:
    """The current context."""
    return _known.get()
