"""Reads lines from a descriptor as they arrive, in batches that fit into one request."""

import os
import select
from collections.abc import Iterator

MOST_LINES = 1_000
MOST_BYTES = 900_000  # of input; with ids and times added, a batch stays below 1 MiB
TOGETHER = 0.05  # lines that arrive within it go into one batch


def batches(descriptor: int) -> Iterator[list[bytes]]:
    """Yield whole lines as soon as no more follow within `TOGETHER`.

    If the input begins with a JSON object over several lines, yield all of it as one line.
    """
    text, lines, size = b"", list[bytes](), 0
    first = True
    while True:
        block = os.read(descriptor, 65_536)
        text += block
        if first and block and (b"\n" not in text or _goes_on(text)):
            continue
        if first and _goes_on(text):
            yield [text.replace(b"\n", b" ")]
            return
        first = False
        *whole, text = text.split(b"\n")
        if not block:
            whole, text = [*whole, text], b""
        for line in whole:
            if lines and (len(lines) == MOST_LINES or size + len(line) > MOST_BYTES):
                yield lines
                lines, size = [], 0
            lines.append(line)
            size += len(line) + 150  # for the id and the time that may be added
        if not block:
            yield lines
            return
        if lines and not select.select([descriptor], [], [], TOGETHER)[0]:
            yield lines
            lines, size = [], 0


def _goes_on(text: bytes) -> bool:
    """Whether the first line opens an object and does not close it."""
    line = text.lstrip().partition(b"\n")[0].rstrip()
    return line.startswith(b"{") and not line.endswith(b"}")
