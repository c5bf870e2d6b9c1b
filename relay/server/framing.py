"""Decode a request's body, by Content-Length or in chunks. No I/O."""

import re
from typing import Protocol

from relay.errors import BadRequest

from .heads import Head

MAX_LINE_BYTES = 1_024
"""Bytes of a chunk's size and extensions, or of a trailer. Known clients send neither."""

MAX_OVERHEAD_BYTES = 16_384
"""Bytes of extensions and trailers in one body, which are read and dropped."""

_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})([ \t]*;[\t -~\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#-'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*")


class BodyReader(Protocol):
    """Takes a request's body from the connection's bytes."""

    complete: bool
    bytes_left: int
    """Bytes that follow as data for certain: of the body, or of its current chunk."""

    def is_complete_in(self, unread: bytes) -> bool:
        """Whether the body is known to end within these bytes, without parsing them."""

    def take(self, unread: bytes) -> tuple[bytes, bytes]:
        """Split the bytes into body data and the rest. Raises BadRequest."""


class ContentLengthReader:
    """A body with a Content-Length."""

    __slots__ = ("bytes_left", "complete")

    def __init__(self, length: int) -> None:
        self.bytes_left = length
        self.complete = length == 0

    def is_complete_in(self, unread: bytes) -> bool:
        return len(unread) >= self.bytes_left

    def take(self, unread: bytes) -> tuple[bytes, bytes]:
        body = unread[: self.bytes_left]
        self.bytes_left -= len(body)
        self.complete = self.bytes_left == 0
        return body, unread[len(body) :]


class ChunkedReader:
    """A chunked body (RFC 9112, 7.1). Extensions and trailers are checked and dropped."""

    __slots__ = ("_expects_chunk_end", "_in_trailers", "_overhead", "bytes_left", "complete")

    def __init__(self) -> None:
        self.complete = False
        self.bytes_left = 0
        self._expects_chunk_end = False  # whether the CRLF after a chunk's data comes next
        self._in_trailers = False
        self._overhead = 0

    def is_complete_in(self, unread: bytes) -> bool:
        return False  # its end is found only by parsing

    def take(self, unread: bytes) -> tuple[bytes, bytes]:
        pieces: list[bytes] = []
        position = 0
        while not self.complete:
            if self.bytes_left:
                piece = unread[position : position + self.bytes_left]
                if not piece:
                    break
                pieces.append(piece)
                position += len(piece)
                self.bytes_left -= len(piece)
                self._expects_chunk_end = not self.bytes_left
                continue
            end = unread.find(b"\r\n", position, position + MAX_LINE_BYTES)
            if end < 0:
                self._check_unfinished(unread[position : position + MAX_LINE_BYTES])
                break
            self._take_line(unread[position:end])
            position = end + 2
        return b"".join(pieces), unread[position:]

    def _take_line(self, line: bytes) -> None:
        if self._expects_chunk_end:
            if line:
                raise BadRequest("A chunk of the body is longer than its size.")
            self._expects_chunk_end = False
        elif self._in_trailers:
            if line and _TRAILER.fullmatch(line) is None:
                raise BadRequest("A trailer of the body is malformed.")
            self.complete = not line
            self._count_overhead(len(line))
        else:
            size = _CHUNK.fullmatch(line)
            if size is None:
                raise BadRequest("A chunk of the body does not start with its size.")
            self.bytes_left = int(size[1], 16)
            self._in_trailers = not self.bytes_left
            self._count_overhead(len(size[2] or b""))

    def _check_unfinished(self, line: bytes) -> None:
        too_long = len(line) == MAX_LINE_BYTES or (
            self._expects_chunk_end and line not in (b"", b"\r")
        )
        if too_long or b"\n" in line or b"\r" in line[:-1]:
            raise BadRequest("A line of the chunked body has no end.")

    def _count_overhead(self, size: int) -> None:
        self._overhead += size
        if self._overhead > MAX_OVERHEAD_BYTES:
            raise BadRequest("The chunked body has too many extensions and trailers.")


def body_reader(head: Head) -> BodyReader:
    """The decoder of a request's body. llhttp has refused heads with contradicting lengths."""
    if b"transfer-encoding" in head:
        return ChunkedReader()
    return ContentLengthReader(int(head.get(b"content-length") or b"0"))
