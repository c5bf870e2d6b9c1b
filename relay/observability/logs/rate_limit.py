"""Limit how many log lines of one kind are written a second."""

import logging
import time
from collections.abc import Callable
from typing import Any

import structlog

MAX_LINES_PER_SECOND = 10  # of one kind: more than a person reads, and cheap in a flood
MAX_KINDS = 500  # tracked kinds; all further ones count as one, as some libraries vary each message

_OTHER: tuple[Any, ...] = ("other",)


class LineRateLimit:
    """Limits lines of one event and outcome. The next line after a gap has the field `skipped`.

    The outcome is a status, a close code or a problem's code: many 401s must not hide a 500. It is
    a structlog processor for our own lines, and `admits` is a logging filter for the libraries'.
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
        """Whether to write a library's line. Ours have passed `__call__` already."""
        if isinstance(record.msg, dict):
            return True
        return self._take((record.name, record.msg)) is not None

    def _take(self, kind: tuple[Any, ...]) -> int | None:
        """How many lines of this kind were skipped before this one; None to skip this one."""
        if kind not in self._second and len(self._second) >= MAX_KINDS:
            kind = _OTHER
        now = int(self._clock())
        if self._second.get(kind) != now:
            self._second[kind] = now
            self._written[kind] = 0
        self._written[kind] += 1
        if self._written[kind] > MAX_LINES_PER_SECOND:
            self._skipped[kind] = self._skipped.get(kind, 0) + 1
            self._on_skipped()
            return None
        return self._skipped.pop(kind, 0)
