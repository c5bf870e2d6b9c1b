"""How many lines one kind of event may write: enough to see it, never enough to be the load."""

import logging
import time
from collections.abc import Callable
from typing import Any

import structlog

LINES = 10  # of one kind, in each second: a person reads less, and a flood costs next to nothing
KINDS = 500  # kinds told apart; a library that writes each message differently shares one more

_OTHER: tuple[Any, ...] = ("other",)


class Budget:
    """Ten lines a second of one event with one outcome; the next one says how many were skipped.

    An outcome is a status, a close code or a problem's code: a flood of 401 must not hide the
    one 500. A structlog processor for our own lines, `admits` a filter for the libraries'.
    """

    def __init__(
        self, on_skipped: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._on_skipped = on_skipped
        self._clock = clock
        self._second: dict[tuple[Any, ...], int] = {}
        self._written: dict[tuple[Any, ...], int] = {}
        self._skipped: dict[tuple[Any, ...], int] = {}

    def __call__(self, logger: Any, _method: str, event: Any) -> Any:
        kind = (logger.name, event.get("event"), event.get("status"), event.get("code"))
        skipped = self._take(kind)
        if skipped is None:
            raise structlog.DropEvent
        if skipped:
            event["skipped"] = skipped
        return event

    def admits(self, record: logging.LogRecord) -> bool:
        """Whether a library's line is written; ours have been judged already."""
        if isinstance(record.msg, dict):
            return True
        return self._take((record.name, record.msg)) is not None

    def _take(self, kind: tuple[Any, ...]) -> int | None:
        """How many of its kind were skipped before this line; None: skip this one, too."""
        if kind not in self._second and len(self._second) >= KINDS:
            kind = _OTHER
        now = int(self._clock())
        if self._second.get(kind) != now:
            self._second[kind] = now
            self._written[kind] = 0
        self._written[kind] += 1
        if self._written[kind] > LINES:
            self._skipped[kind] = self._skipped.get(kind, 0) + 1
            self._on_skipped()
            return None
        return self._skipped.pop(kind, 0)
