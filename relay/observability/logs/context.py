"""The log context: fields of a task's request or connection, which are added to its log lines.

structlog's contextvars use one variable a field. This is one variable with a dictionary, because
it is set for every request and read only when a line is written. A request's tasks share its
dictionary, and the connection's dictionary stays unchanged.
"""

from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import MappingProxyType
from typing import Any

LogContext = Mapping[str, Any]

_EMPTY: LogContext = MappingProxyType({})
_context: ContextVar[LogContext] = ContextVar("relay_log", default=_EMPTY)


def bind_log_context(**fields: Any) -> Token[LogContext]:
    """Add fields to the lines of this task and its children. Undo with the returned token."""
    return _context.set({**_context.get(), **fields})


def reset_log_context(token: Token[LogContext]) -> None:
    """Restore the context from before the `bind_log_context` that returned the token."""
    _context.reset(token)


def extend_log_context(**fields: Any) -> None:
    """Add fields to the context of the innermost `bind_log_context`; does nothing without one."""
    log_context = _context.get()
    if isinstance(log_context, dict):
        log_context.update(fields)


def log_context() -> LogContext:
    """The current context."""
    return _context.get()
