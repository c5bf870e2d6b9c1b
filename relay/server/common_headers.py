"""Encode header lines, and those that every response has."""

import re
from functools import lru_cache
from time import time

from hypercorn.config import Config

from .heads import TOKEN

_LINE_BREAK = re.compile(rb"[\r\n\0]")


class CommonHeaders:
    """Hypercorn's headers for every response, such as Date; encoded once a second."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._second = 0
        self._lines = b""

    def lines(self) -> bytes:
        """The encoded lines, each with its line end."""
        if (second := int(time())) != self._second:
            self._second = second
            added = self._config.response_headers("h11")
            self._lines = b"".join([header_line(name, value) for name, value in added])
        return self._lines


@lru_cache(1_024)  # most lines are those of every answer
def header_line(name: bytes, value: bytes) -> bytes:
    """Encode a header line. Raises ValueError for a malformed name or value."""
    if not _is_token(name) or _LINE_BREAK.search(value):
        raise ValueError(f"the header {name!r} has a malformed name or value")
    return b"%b: %b\r\n" % (name, value)


@lru_cache(1024)
def _is_token(name: bytes) -> bool:
    return TOKEN.fullmatch(name) is not None
