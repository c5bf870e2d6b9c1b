"""How the server refuses: by the same problem documents that the application writes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus

from relay.errors import MEDIA_TYPE, Problem, Unavailable

from .observer import Observer
from .request_id import request_id_of

Headers = Iterable[tuple[bytes, bytes]]
ExtraHeaders = Callable[[Headers], list[tuple[bytes, bytes]]]
"""A request's headers -> more headers for its refusal."""


class UriTooLong(Problem):
    status, code, title = 414, "uri_too_long", "Address too long"
    hint = "The request's target is longer than this server reads."


class HeadersTooLarge(Problem):
    status, code, title = 431, "headers_too_large", "Headers too large"
    hint = "The request's headers are larger than this server reads."


class NotImplementedHere(Problem):
    status, code, title = 501, "not_implemented", "Not implemented"
    hint = "Of the transfer codings only `chunked` is understood."


class VersionNotSupported(Problem):
    status, code, title = 505, "version_not_supported", "HTTP version not supported"
    hint = "This server speaks HTTP/1.1 and HTTP/1.0; HTTP/2 belongs to a proxy in front."


@dataclass(frozen=True, slots=True)
class Refusal:
    """A problem as the answer that goes over the wire, the last one on its connection."""

    problem: Problem
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def raw(self) -> bytes:
        """The whole HTTP/1.1 response, for connections that were not read from."""
        status = HTTPStatus(self.problem.status)
        lines = [b"HTTP/1.1 %d %s" % (status, status.phrase.encode())]
        lines += [name + b": " + value for name, value in self.headers]
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body


class Refusals:
    """Makes refusals, and notifies the observer.

    `extra_headers` takes a request's headers and returns those that the application would add to
    its answer: a refusal has them as well.
    """

    def __init__(self, observer: Observer, extra_headers: ExtraHeaders = lambda _: []) -> None:
        self._observer = observer
        self._extra_headers = extra_headers

    def of(self, problem: Problem, headers: Headers = ()) -> Refusal:
        """The refusal of a request with these headers, as far as they were read."""
        request_id = request_id_of(headers)
        self._observer.request_refused(problem.status, problem.code, request_id)
        return self._refusal(problem, headers, request_id)

    def overloaded(self, retry_after: int) -> bytes:
        """The whole answer to a connection over the cap."""
        problem = Unavailable(
            "This process has as many connections as it may have; try again.",
            retry_after=retry_after,
        )
        return self._refusal(problem, (), request_id_of(())).raw()

    def _refusal(self, problem: Problem, headers: Headers, request_id: str) -> Refusal:
        body = problem.document(request_id)
        answer = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", request_id.encode()),
            (b"connection", b"close"),
            *((name.lower().encode(), value.encode()) for name, value in problem.headers.items()),
            *self._extra_headers(headers),
        ]
        return Refusal(problem, answer, body)
