"""What is known of the request or connection that a task serves, for the lines it writes.

One context variable that holds a dictionary, rather than a variable a field: it is set for
every request and read only when a line is written. A request's tasks share its dictionary; its
connection's stays as it was.
"""

from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import MappingProxyType
from typing import Any

Known = Mapping[str, Any]

_NOTHING: Known = MappingProxyType({})
_known: ContextVar[Known] = ContextVar("relay_log", default=_NOTHING)


def about(**facts: Any) -> Token[Known]:
    """From here on, lines of this task and its children carry what they did, and this."""
    return _known.set({**_known.get(), **facts})


def forget(token: Token[Known]) -> None:
    """Back to what was known before the `about` that gave the token."""
    _known.reset(token)


def know(**facts: Any) -> None:
    """One thing more about what `about` began; nothing where it did not begin anything."""
    known = _known.get()
    if isinstance(known, dict):
        known.update(facts)


def known() -> Known:
    return _known.get()
