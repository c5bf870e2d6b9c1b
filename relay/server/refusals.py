"""The server's own error answers: problem documents like the application's."""

from collections.abc import Callable, Iterable
from http import HTTPStatus

import msgspec

from relay.errors import Problem, Unavailable
from relay.media_types import PROBLEM

from .observer import Observer
from .request_id import request_id_of

Headers = Iterable[tuple[bytes, bytes]]
ExtraHeaders = Callable[[Headers], list[tuple[bytes, bytes]]]
"""Takes a request's headers, and returns headers to add to its refusal."""


class UriTooLong(Problem):
    status, code, title = 414, "uri_too_long", "Address too long"
    hint = "The request's address is longer than Relay accepts."


class HeadersTooLarge(Problem):
    status, code, title = 431, "headers_too_large", "Headers too large"
    hint = "The request's headers are larger than Relay accepts."


class NotImplementedHere(Problem):
    status, code, title = 501, "not_implemented", "Not implemented"
    hint = "The only supported Transfer-Encoding is `chunked`."


class VersionNotSupported(Problem):
    status, code, title = 505, "version_not_supported", "HTTP version not supported"
    hint = "Relay speaks HTTP/1.1 and HTTP/1.0. Put a proxy in front for HTTP/2."


class Refusal(msgspec.Struct, frozen=True):
    """A problem as an HTTP answer, which is the last one on its connection."""

    problem: Problem
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def raw(self) -> bytes:
        """The whole HTTP/1.1 response in bytes."""
        status = HTTPStatus(self.problem.status)
        lines = [b"HTTP/1.1 %d %s" % (status, status.phrase.encode())]
        lines += [name + b": " + value for name, value in self.headers]
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body


class Refusals:
    """Makes refusals, and notifies the observer.

    `extra_headers` takes a request's headers, and returns the headers that the application's
    middleware would add to its answer.
    """

    def __init__(self, observer: Observer, extra_headers: ExtraHeaders = lambda _: []) -> None:
        self._observer = observer
        self._extra_headers = extra_headers

    def of(self, problem: Problem, headers: Headers = ()) -> Refusal:
        """The refusal of a request with these headers, if they could be parsed."""
        request_id = request_id_of(headers)
        self._observer.request_refused(problem.status, problem.code, request_id)
        body = problem.document(request_id)
        answer = [
            (b"content-type", PROBLEM.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", request_id.encode()),
            (b"connection", b"close"),
            *((name.lower().encode(), value.encode()) for name, value in problem.headers.items()),
            *self._extra_headers(headers),
        ]
        return Refusal(problem, answer, body)

    def overloaded(self, retry_after: int) -> bytes:
        """The response to a connection over the cap, in bytes."""
        problem = Unavailable(
            "This process has reached its limit of connections. Try again.",
            retry_after=retry_after,
        )
        return self.of(problem).raw()
