"""The bounds of one HTTP exchange: the time of the request, the time and the bytes of its answer.

httpx bounds each read alone. A byte a second, or interim answers (1xx) without end, would then
hold a request for hours.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpcore

from relay.client.connection_failure import NotHttp

MAX_HEAD_BYTES = 128 * 2**10  # the HTTP library allows 100 KiB; Relay's have less than one
MAX_ANSWER_BYTES = 4 * 2**20  # Relay's longest answer lists 1 000 tokens in a tenth of that
MAX_FRAMING_BYTES = 2**20  # chunk sizes, and what was read ahead
SLOWEST_UPLOAD = 16 * 2**10  # bytes a second; Relay waits as its RELAY_BODY_TIMEOUT says
_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")  # alert, handshake (RFC 8446, section 5.1)
_HTTP = b"HTTP/"


class AnswerBounds:
    """The bounds of one exchange.

    `seconds` are for the connection, and again for all of the answer, from the end of the request
    on. A request may take as long as SLOWEST_UPLOAD needs for its bytes.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._bytes_left: float = MAX_HEAD_BYTES + MAX_ANSWER_BYTES + MAX_FRAMING_BYTES
        self._beginning = b""  # of what was read since the last write
        self._has_ended = False  # the other end closed the connection

    def lift(self) -> None:
        """From now on nothing is bounded: a stream has begun."""
        self._deadline = self._bytes_left = float("inf")

    def shorten(self, timeout: float | None, kind: type[httpcore.TimeoutException]) -> float | None:
        """The timeout of the next operation. Raises `kind` after the deadline."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise kind("the answer takes too long")
        shortened = left if timeout is None else min(left, timeout)
        return None if shortened == float("inf") else shortened

    def count(self, data: bytes) -> None:
        """Count what was read. Raises `httpcore.RemoteProtocolError` if it is too much."""
        self._beginning = (self._beginning + data[: len(_HTTP)])[: len(_HTTP)]
        self._bytes_left -= len(data)
        self._has_ended = not data
        if self._bytes_left < 0:
            raise httpcore.RemoteProtocolError("the answer has no end")

    @contextmanager
    def writing(self, size: int) -> Iterator[None]:
        """Write so many bytes of a request: what is read next begins its answer."""
        self._beginning = b""
        self._deadline = time.monotonic() + self._seconds + size / SLOWEST_UPLOAD
        yield
        self._deadline = time.monotonic() + self._seconds

    def foreign_answer(self, *, has_head: bool, is_malformed: bool) -> NotHttp | None:
        """After a failure: what other program's answer it was; None if it may be Relay's.

        `has_head`: its head was read. `is_malformed`: the HTTP library refused it.
        """
        if self._bytes_left < 0:
            return NotHttp("its answer has no end")
        if self._beginning.startswith(_TLS_RECORDS):
            return NotHttp("it speaks TLS: is the address an https:// one?")
        if not has_head and not _HTTP.startswith(self._beginning):
            return NotHttp("it does not answer in HTTP")
        if not has_head and is_malformed and not self._has_ended:
            return NotHttp("the head of its answer is invalid")
        return None


UNBOUNDED = AnswerBounds(float("inf"))
