"""Recognize a head that differs from the connection's last one only in its Content-Length.

A client that posts again and again sends the same head each time, but for that number. Such a head
is neither parsed nor screened again. No I/O.
"""

import re

from .heads import Head

MAX_REMEMBERED_BYTES = 2_048
"""Bytes of a head that is remembered. Heads of clients have some 600; each connection that has
posted keeps one."""

MAX_DIGITS = 15
"""Digits of a Content-Length that is recognized: far from the numbers that llhttp refuses."""

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)[ \t]*\r\n", re.IGNORECASE)


class LastHead:
    """The last head of one connection that was admitted, if it had a Content-Length.

    Others are not remembered: streams wait for long, and the memory of many counts.
    """

    __slots__ = ("_after", "_before", "_head", "_size")

    def __init__(self) -> None:
        self._head: Head | None = None
        self._before = self._after = b""  # the head's bytes around the digits
        self._size = 0  # of the whole head, in bytes

    def remember(self, raw: bytes, head: Head) -> None:
        """Remember a head that was parsed from these bytes and admitted."""
        self._head = None
        if b"content-length" not in head or len(raw) > MAX_REMEMBERED_BYTES:
            return
        # an admitted head has the field once, and no line of it is folded
        digits = _CONTENT_LENGTH.search(raw)
        if digits is not None and digits[1] == head.get(b"content-length"):
            self._head, self._size = head, len(raw)
            self._before, self._after = raw[: digits.start(1)], raw[digits.end(1) :]

    def recall(self, raw: bytes) -> Head | None:
        """The head of these bytes if they differ from the remembered ones in the digits only.

        One that is longer is parsed, as its size has to be checked.
        """
        head = self._head
        if head is None or len(raw) > self._size:
            return None
        if not (raw.startswith(self._before) and raw.endswith(self._after)):
            return None
        digits = raw[len(self._before) : len(raw) - len(self._after)]
        if not digits.isdigit() or len(digits) > MAX_DIGITS:
            return None
        return head.with_content_length(digits)
