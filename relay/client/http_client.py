"""Opens the HTTP client that all of the client uses, and reads answers within bounds."""

import ssl
import time
from collections.abc import Mapping

import httpx
import msgspec

from relay import __version__

CONNECT_TIMEOUT_SECONDS = 5.0
MAX_ANSWER_BYTES = 4 * 2**20  # Relay's longest answer lists 1 000 tokens in a tenth of that


class HttpAnswer(msgspec.Struct, frozen=True):
    """A complete answer, by whatever program. `url` is the address without a path."""

    url: str
    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def status_line(self) -> str:
        return f"{self.status} {self.reason}".strip()

    @property
    def media_type(self) -> str:
        """The Content-Type without parameters, in lower case; empty if there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def open_http(url: str, token: str | None, read_timeout: float) -> httpx.Client:
    """Open an HTTP client for the Relay at `url`. `read_timeout` is in seconds."""
    headers = {"User-Agent": f"relay/{__version__}"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    # Loading the certificate authorities takes longer than a request. Plain HTTP does not need
    # them; the empty context then refuses any redirect to https.
    verify = True if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.Client(
        timeout=httpx.Timeout(read_timeout, connect=CONNECT_TIMEOUT_SECONDS),
        headers=headers,
        verify=verify,
    )


def exchange(
    http: httpx.Client,
    request: httpx.Request,
    url: str,
    timeout: float,
) -> HttpAnswer:
    """Send a request and read the answer, for at most `timeout` seconds after its head.

    Raises `httpx.RequestError`. A body beyond `MAX_ANSWER_BYTES` is cut there: it is not Relay's.
    """
    answer = http.send(request, stream=True)
    try:
        return read_answer(answer, url, timeout)
    finally:
        answer.close()
        http.cookies.clear()  # the token alone identifies us


def read_answer(answer: httpx.Response, url: str, timeout: float) -> HttpAnswer:
    """Read the body of an answer that is being streamed. Raises `httpx.RequestError`."""
    deadline = time.monotonic() + timeout
    body = b""
    for chunk in answer.iter_bytes():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            break
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("the answer takes too long", request=answer.request)
    return HttpAnswer(url, answer.status_code, answer.reason_phrase, answer.headers, body)
