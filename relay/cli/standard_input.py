"""Reads stdin, which may be closed: cron jobs and daemons have none."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from relay.cli.exit_codes import Failed
from relay.client.text_encoding import other_encoding, without_bom


@contextmanager
def open_stdin() -> Iterator[BinaryIO]:
    """Stdin, in bytes. Raises Failed if it is closed or cannot be read."""
    if sys.stdin is None:
        raise Failed("stdin is closed")
    try:
        yield sys.stdin.buffer
    except OSError as error:
        raise Failed(f"stdin cannot be read: {error.strerror}") from error


def read_line(most: int) -> str:
    """The first line of stdin, of at most so many bytes. Raises Failed, also if it is not UTF-8."""
    with open_stdin() as stdin:
        written = stdin.readline(most)
    if (encoding := other_encoding(written)) is not None:
        raise Failed(f"the text on stdin is {encoding}")
    try:
        return without_bom(written).decode().strip()
    except UnicodeDecodeError as error:
        raise Failed("the text on stdin is not UTF-8") from error
