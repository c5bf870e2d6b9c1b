"""Decode a request's body, by Content-Length or in chunks. No I/O."""

import re
from typing import Protocol

from relay.errors import BadRequest

from .heads import Head

MAX_LINE = 1_024
"""Bytes of a chunk's size and extensions, or of a trailer. Known clients send neither."""

MAX_OVERHEAD = 16_384
"""Bytes of extensions and trailers in one body, which are read and dropped."""

_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})([ \t]*;[\t -~\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#-'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*")


class Body(Protocol):
    """Takes a request's body from the connection's bytes."""

    complete: bool

    def is_in(self, unread: bytes) -> bool:
        """Whether the body is known to end within these bytes, without parsing them."""

    def take(self, unread: bytes) -> tuple[bytes, bytes]:
        """Split the bytes into body data and the rest. Raises BadRequest."""


class Counted:
    """A body with a Content-Length."""

    __slots__ = ("_left", "complete")

    def __init__(self, length: int) -> None:
        self._left = length
        self.complete = length == 0

    def is_in(self, unread: bytes) -> bool:
        return len(unread) >= self._left

    def take(self, unread: bytes) -> tuple[bytes, bytes]:
        body = unread[: self._left]
        self._left -= len(body)
        self.complete = self._left == 0
        return body, unread[len(body) :]


class Chunked:
    """A chunked body (RFC 9112, 7.1). Extensions and trailers are checked and dropped."""

    __slots__ = ("_ends", "_in_trailers", "_left", "_overhead", "complete")

    def __init__(self) -> None:
        self.complete = False
        self._left = 0
        self._ends = False  # whether the CRLF after a chunk's data comes next
        self._in_trailers = False
        self._overhead = 0

    def is_in(self, unread: bytes) -> bool:
        return False  # its end is found only by parsing

    def take(self, unread: bytes) -> tuple[bytes, bytes]:
        pieces: list[bytes] = []
        at = 0
        while not self.complete:
            if self._left:
                piece = unread[at : at + self._left]
                if not piece:
                    break
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                self._ends = not self._left
                continue
            end = unread.find(b"\r\n", at, at + MAX_LINE)
            if end < 0:
                self._check_unfinished(unread[at : at + MAX_LINE])
                break
            self._take_line(unread[at:end])
            at = end + 2
        return b"".join(pieces), unread[at:]

    def _take_line(self, line: bytes) -> None:
        if self._ends:
            if line:
                raise BadRequest("A chunk of the body is longer than its size.")
            self._ends = False
        elif self._in_trailers:
            if line and _TRAILER.fullmatch(line) is None:
                raise BadRequest("A trailer of the body is malformed.")
            self.complete = not line
            self._drop(len(line))
        else:
            size = _CHUNK.fullmatch(line)
            if size is None:
                raise BadRequest("A chunk of the body does not start with its size.")
            self._left = int(size[1], 16)
            self._in_trailers = not self._left
            self._drop(len(size[2] or b""))

    def _check_unfinished(self, line: bytes) -> None:
        too_long = len(line) == MAX_LINE or (self._ends and line not in (b"", b"\r"))
        if too_long or b"\n" in line or b"\r" in line[:-1]:
            raise BadRequest("A line of the chunked body has no end.")

    def _drop(self, size: int) -> None:
        self._overhead += size
        if self._overhead > MAX_OVERHEAD:
            raise BadRequest("The chunked body has too many extensions and trailers.")


def body_of(head: Head) -> Body:
    """The decoder of a request's body. llhttp has refused heads with contradicting lengths."""
    if b"transfer-encoding" in head:
        return Chunked()
    return Counted(int(head.get(b"content-length") or b"0"))
