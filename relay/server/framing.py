"""Where a request's body ends: counted, or in chunks. Pure: unread bytes in, the body out."""

import re
from typing import Protocol

from relay.errors import BadRequest

from .heads import Head

MAX_LINE = 1_024
"""Bytes of a chunk's size and extensions, or of a trailer: no known client sends either."""

MAX_OVERHEAD = 16_384
"""Bytes of extensions and trailers in one body: they are read and dropped, not for ever."""

_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})([ \t]*;[\t -~\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#-'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*")


class Body(Protocol):
    """A request's body as it comes in."""

    complete: bool

    def is_in(self, unread: bytes) -> bool:
        """Whether it ends in these bytes, as far as that can be seen at a glance."""

    def take(self, unread: bytes) -> tuple[bytes, bytes]:
        """What of these bytes is body, and what is left unread. Raises BadRequest."""


class Counted:
    """A body of so many bytes."""

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
    """A body in chunks (RFC 9112, 7.1). Its extensions and trailers are checked and dropped."""

    __slots__ = ("_ends", "_in_trailers", "_left", "_overhead", "complete")

    def __init__(self) -> None:
        self.complete = False
        self._left = 0
        self._ends = False  # the CRLF behind a chunk's data is due
        self._in_trailers = False
        self._overhead = 0

    def is_in(self, unread: bytes) -> bool:
        return False  # its end is found by parsing it

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
                raise BadRequest("A chunk of the body is longer than it says.")
            self._ends = False
        elif self._in_trailers:
            if line and _TRAILER.fullmatch(line) is None:
                raise BadRequest("A trailer of the body is no field.")
            self.complete = not line
            self._drop(len(line))
        else:
            size = _CHUNK.fullmatch(line)
            if size is None:
                raise BadRequest("A chunk of the body does not begin with its size.")
            self._left = int(size[1], 16)
            self._in_trailers = not self._left
            self._drop(len(size[2] or b""))

    def _check_unfinished(self, line: bytes) -> None:
        too_long = len(line) == MAX_LINE or (self._ends and line not in (b"", b"\r"))
        if too_long or b"\n" in line or b"\r" in line[:-1]:
            raise BadRequest("A line of the chunked body does not end.")

    def _drop(self, size: int) -> None:
        self._overhead += size
        if self._overhead > MAX_OVERHEAD:
            raise BadRequest("The chunked body has more extensions and trailers than body.")


def body_of(head: Head) -> Body:
    """How the request's body is framed; llhttp has seen to it that it says so once."""
    if b"transfer-encoding" in head:
        return Chunked()
    return Counted(int(head.get(b"content-length") or b"0"))
