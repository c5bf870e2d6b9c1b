"""Describe exceptions without private data.

Only types and source locations are kept: a message may quote a request or a secret.
"""

import sys
import traceback
from collections.abc import Iterator

MAX_FRAMES = 4  # the innermost calls are enough; whole tracebacks would flood the log


def describe_failure(failure: BaseException) -> str:
    """The exception in one line; all of a group, each with its cause."""
    return "; ".join(_describe_one(leaf) for leaf in leaves(failure))


def leaves(failure: BaseException) -> Iterator[BaseException]:
    """The exceptions of a group, nested ones included, or the exception itself."""
    if isinstance(failure, BaseExceptionGroup):
        for part in failure.exceptions:
            yield from leaves(part)
    else:
        yield failure


def raised(exc_info: object) -> BaseException | None:
    """The exception of a log call's `exc_info`.

    That is the exception itself, the triple of `sys.exc_info`, or True for the one being handled.
    """
    if exc_info is True:
        exc_info = sys.exc_info()
    if isinstance(exc_info, tuple):
        exc_info = exc_info[1]
    return exc_info if isinstance(exc_info, BaseException) else None


def _describe_one(failure: BaseException) -> str:
    description = f"{type(failure).__qualname__} at {_location(failure)}"
    cause = failure.__cause__
    return description if cause is None else f"{description}, from {type(cause).__qualname__}"


def _location(failure: BaseException) -> str:
    frames = traceback.extract_tb(failure.__traceback__)[-MAX_FRAMES:]
    return " > ".join(f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in frames) or "?"
