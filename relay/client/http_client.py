"""Opens the HTTP client that all of the client uses, and reads answers within bounds.

Redirects are never followed: the token is for one origin alone.
"""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import msgspec

from relay import __version__
from relay.client.answer_bounds import MAX_ANSWER_BYTES, AnswerBounds
from relay.client.bounded_transport import BoundedTransport
from relay.client.credentials import NoAuthorities
from relay.client.http_answer import HttpAnswer
from relay.media_types import JSON, PROBLEM

CONNECT_TIMEOUT_SECONDS = 5.0


def open_http(url: str, token: str | None, read_timeout: float) -> httpx.Client:
    """Open an HTTP client for the Relay at `url`. `read_timeout` is in seconds.

    Raises NoAuthorities.
    """
    # Nothing compressed is asked for: a few bytes of it may mean gigabytes.
    headers = {"User-Agent": f"relay/{__version__}", "Accept-Encoding": "identity"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    # Loading the certificate authorities takes longer than a request. Plain HTTP does not need
    # them; the empty context then refuses any server.
    is_tls = url.startswith("https:")
    tls = _trusting_context() if is_tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.Client(
        timeout=httpx.Timeout(read_timeout, connect=CONNECT_TIMEOUT_SECONDS),
        headers=headers,
        follow_redirects=False,
        transport=BoundedTransport(url, tls),
    )


def _trusting_context() -> ssl.SSLContext:
    """The context for TLS, with the certificate authorities of this machine. Raises NoAuthorities.

    They are those of SSL_CERT_FILE or SSL_CERT_DIR, or else the HTTP library's own.
    """
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        if not (path := os.environ.get("SSL_CERT_FILE")):
            raise  # a package that is damaged
        why = "no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise NoAuthorities(f"SSL_CERT_FILE names {path}, which cannot be used: {why}") from error


@contextmanager
def open_answer(
    http: httpx.Client, request: httpx.Request, bounds: AnswerBounds
) -> Iterator[httpx.Response]:
    """Send a request and yield the answer when its head was read. Its body is not read yet.

    Raises `httpx.RequestError`: `NotHttp` if the answer cannot be Relay's.
    """
    request.extensions["bounds"] = bounds
    has_head = False
    try:
        answer = http.send(request, stream=True)
        has_head = True
        try:
            yield answer
        finally:
            answer.close()
            http.cookies.clear()  # the token alone identifies us
    except httpx.TransportError as error:
        is_malformed = isinstance(error, httpx.RemoteProtocolError)
        foreign = bounds.foreign_answer(has_head=has_head, is_malformed=is_malformed)
        if foreign is not None:
            raise foreign from error
        raise


def exchange(http: httpx.Client, request: httpx.Request, url: str, timeout: float) -> HttpAnswer:
    """Send a request and read all of the answer, for at most `timeout` seconds.

    Raises `httpx.RequestError`. A body beyond `MAX_ANSWER_BYTES` is cut there: it is not Relay's.
    """
    with open_answer(http, request, AnswerBounds(timeout)) as answer:
        received = read_answer(answer, url)
        if received.media_type not in (JSON, PROBLEM):
            # Another program's. What it sent beyond would be taken for the next answer.
            answer.extensions["network_stream"].close()
        return received


def read_answer(answer: httpx.Response, url: str) -> HttpAnswer:
    """Read the body of an answer as it was sent. Raises `httpx.RequestError`."""
    body = bytearray()
    for chunk in answer.iter_raw():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            break
    return msgspec.structs.replace(head_of(answer, url), body=bytes(body))


def head_of(answer: httpx.Response, url: str) -> HttpAnswer:
    """An answer without its body."""
    return HttpAnswer(url, answer.status_code, answer.reason_phrase, answer.headers, b"")
