"""Reads lines from a descriptor as they arrive, in batches that fit into one request."""

import os
import select
from collections.abc import Iterator

from relay.client.text_encoding import without_bom

MAX_BATCH_LINES = 1_000
MAX_BATCH_BYTES = 900_000  # of input; with ids and times added, a batch stays below 1 MiB
MAX_LINE_BYTES = 2**20  # Relay's limit of a request: a longer line cannot be sent
GATHER_SECONDS = 0.05  # lines that arrive within it go into one batch


class LineTooLong(ValueError):
    """The input has a line, or a first document, beyond `MAX_LINE_BYTES`."""


def read_batches(descriptor: int) -> Iterator[list[bytes]]:
    """Yield whole lines as soon as no more follow within `GATHER_SECONDS`. Raises LineTooLong.

    If the input begins with a JSON object over several lines, yield all of it as one line.
    """
    text, lines, size = b"", list[bytes](), 0
    first = True
    while True:
        block = os.read(descriptor, 65_536)
        text += block
        if first and block and (b"\n" not in text or _opens_document(text)):
            _check_length(text)
            continue
        if first and _opens_document(text):
            yield [text.replace(b"\n", b" ")]
            return
        first = False
        *whole, text = text.split(b"\n")
        if not block:
            whole, text = [*whole, text], b""
        for line in whole:
            if lines and (len(lines) == MAX_BATCH_LINES or size + len(line) > MAX_BATCH_BYTES):
                yield lines
                lines, size = [], 0
            lines.append(line)
            size += len(line) + 150  # for the id and the time that may be added
        if not block:
            yield lines
            return
        _check_length(text)
        if lines and not select.select([descriptor], [], [], GATHER_SECONDS)[0]:
            yield lines
            lines, size = [], 0


def _check_length(text: bytes) -> None:
    if len(text) > MAX_LINE_BYTES:
        raise LineTooLong(f"a request has at most {MAX_LINE_BYTES} bytes")


def _opens_document(text: bytes) -> bool:
    """Whether the first line opens an object and does not close it."""
    line = without_bom(text).lstrip().partition(b"\n")[0].rstrip()
    return line.startswith(b"{") and not line.endswith(b"}")
