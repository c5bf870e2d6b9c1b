"""Parse the head of a request. No I/O.

It is strict, against request smuggling: a server that reads a request differently from the proxy
in front of it can be made to see another request. The request line is parsed here. llhttp parses
and checks the fields: names, values, line ends, folding, and contradicting lengths.
"""

import re

import httptools

from relay.errors import BadRequest

from .limits import ConnectionLimits
from .refusals import HeadersTooLarge, NotImplementedHere, UriTooLong, VersionNotSupported

Headers = list[tuple[bytes, bytes]]

HEAD_END = b"\r\n\r\n"

MAX_LENGTH_DIGITS = 20
"""Digits of a Content-Length, leading zeros included: enough for 64 bits."""

_TOKEN = rb"[!#-'*+\-.^_`|~0-9A-Za-z]+"
_REST_OF_LINE = rb" ([!-~]+) HTTP/([0-9]\.[0-9])(?=\r\n)"
# Methods are case-sensitive (RFC 9110, 9.1), and all known ones are in capitals. Another spelling
# would pass a proxy's rule on the method.
_REQUEST_LINE = re.compile(rb"([!#-'*+\-.^_`|~0-9A-Z]+)" + _REST_OF_LINE)
_LINE_OF_OTHER_METHOD = re.compile(_TOKEN + _REST_OF_LINE)
TOKEN = re.compile(_TOKEN)
# one reader takes the first of them, another the last
_GIVEN_ONCE = (b"host", b"authorization", b"content-type")
_OF_BODY = frozenset({b"content-length", b"transfer-encoding", b"expect"})
# in place of the request line: llhttp refuses methods that it does not know
_STAND_IN_LINE = b"POST / HTTP/1.1"


class Head:
    """A request line and its fields: names in lower case, values without surrounding space.

    `size` is the fields' size in bytes, or a little more.
    """

    __slots__ = (
        "_by_name",
        "_has_repeats",
        "headers",
        "is_ascii",
        "method",
        "size",
        "target",
        "version",
    )

    def __init__(
        self,
        method: bytes,
        target: bytes,
        version: bytes,
        headers: Headers,
        *,
        size: int = 0,
        is_ascii: bool = True,
    ) -> None:
        self.method = method
        self.target = target
        self.version = version
        self.headers = headers
        self.size = size
        self.is_ascii = is_ascii
        self._by_name = dict(headers)
        self._has_repeats = len(self._by_name) < len(headers)  # whether a name occurs twice

    def with_content_length(self, digits: bytes) -> "Head":
        """The same head with another value of its Content-Length."""
        given = (b"content-length", self._by_name[b"content-length"])
        headers = self.headers.copy()
        headers[headers.index(given)] = (b"content-length", digits)
        return Head(
            self.method,
            self.target,
            self.version,
            headers,
            size=self.size,
            is_ascii=self.is_ascii,
        )

    def __contains__(self, name: bytes) -> bool:
        return name in self._by_name

    def get(self, name: bytes) -> bytes | None:
        """The field's value; the last one of repeated fields."""
        return self._by_name.get(name)

    def all_of(self, name: bytes) -> bytes:
        """The field's values, joined by commas; empty if there are none."""
        if self._has_repeats:
            return b",".join([value for key, value in self.headers if key == name])
        return self._by_name.get(name, b"")

    def is_repeated(self, name: bytes) -> bool:
        """Whether the field occurs more than once."""
        return self._has_repeats and [key for key, _ in self.headers].count(name) > 1

    def without_body(self) -> bytes:
        """The head in bytes, as of a request without a body."""
        lines = [b"%b %b HTTP/%b" % (self.method, self.target, self.version)]
        lines += [b"%b: %b" % field for field in self.headers if field[0] not in _OF_BODY]
        return b"\r\n".join(lines) + HEAD_END

    @property
    def is_last(self) -> bool:
        """Whether the connection must close after this request (RFC 9112, 9.3).

        Always for HTTP/1.0: its `keep-alive` was never standardized.
        """
        if self.version == b"1.0":
            return True
        if b"connection" not in self:
            return False
        options = self.all_of(b"connection").lower().split(b",")
        return b"close" in map(bytes.strip, options)


class _ParserCallbacks:
    """Receives llhttp's callbacks."""

    __slots__ = ("complete", "headers")

    def __init__(self) -> None:
        self.headers: Headers = []
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self.complete = True


def parse_head(raw: bytes) -> Head:
    """Parse a head, from the request line to the empty line. Raises Problem."""
    line = _REQUEST_LINE.match(raw)
    if line is None and _LINE_OF_OTHER_METHOD.match(raw):
        raise NotImplementedHere("Methods are case-sensitive: write the method in capitals.")
    if line is None:
        raise BadRequest("The request line is not `METHOD target HTTP/1.1`.")
    method, target, version = line.groups()
    if version not in (b"1.1", b"1.0"):
        raise VersionNotSupported()
    lines = raw[line.end() :]
    fields = _ParserCallbacks()
    failure = "Bytes follow the end of the head."
    try:
        httptools.HttpRequestParser(fields).feed_data(_STAND_IN_LINE + lines)
    except httptools.HttpParserUpgrade:
        pass  # the connection decides about upgrades
    except httptools.HttpParserError as error:
        failure, fields.complete = f"{error}.", False
    size, is_ascii = len(lines), lines.isascii()
    head = Head(method, target, version, fields.headers, size=size, is_ascii=is_ascii)
    _check_coding(head)
    if not fields.complete:
        raise BadRequest(f"The request's headers are not HTTP: {failure}")
    if len(head.get(b"content-length") or b"") > MAX_LENGTH_DIGITS:
        raise BadRequest("The header Content-Length has too many digits.")
    if b"host" not in head and version == b"1.1":
        raise BadRequest("The header Host is missing.")
    for name in _GIVEN_ONCE:
        if head.is_repeated(name):
            raise BadRequest(f"There is more than one {name.decode().title()} header.")
    return head


def check_unfinished(unread: bytes, max_head: int, limits: ConnectionLimits) -> None:
    """Raise Problem if these bytes cannot become a head, whatever follows."""
    if unread and unread[0] <= 0x20 and not b"\r\n".startswith(unread[:2]):
        raise BadRequest("This is not HTTP.")
    if unread.count(b"\n") != unread.count(b"\r\n"):
        raise BadRequest("Lines must end with CR and LF.")
    if len(unread) > limits.max_target and b"\r\n" not in unread:
        raise UriTooLong()
    if len(unread) > max_head:
        raise HeadersTooLarge()


def _check_coding(head: Head) -> None:
    """Refuse transfer codings other than `chunked`, and all of them in HTTP/1.0."""
    if b"transfer-encoding" in head:
        if head.version == b"1.0":
            raise BadRequest("HTTP/1.0 has no transfer codings.")
        if head.all_of(b"transfer-encoding").lower() != b"chunked":
            raise NotImplementedHere()
