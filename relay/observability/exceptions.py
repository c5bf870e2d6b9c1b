"""What failed and where, in words that are safe to keep.

Types and places only: a message may quote what a stranger sent, or a secret.
"""

import traceback
from collections.abc import Iterator

FRAMES = 4  # the innermost calls name the place; all of them would flood the log


def describe(failure: BaseException) -> str:
    """The failure in one line: each of a group, with what caused it."""
    return "; ".join(_because(leaf) for leaf in leaves(failure))


def leaves(failure: BaseException) -> Iterator[BaseException]:
    """The failures of a group, or the one there is."""
    if isinstance(failure, BaseExceptionGroup):
        for part in failure.exceptions:
            yield from leaves(part)
    else:
        yield failure


def _because(failure: BaseException) -> str:
    words = f"{type(failure).__qualname__} at {_place(failure)}"
    cause = failure.__cause__
    return words if cause is None else f"{words}, from {type(cause).__qualname__}"


def _place(failure: BaseException) -> str:
    frames = traceback.extract_tb(failure.__traceback__)[-FRAMES:]
    return " > ".join(f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in frames) or "?"
