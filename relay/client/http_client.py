"""Opens the HTTP client that all of the client uses."""

import ssl

import httpx

from relay import __version__

CONNECT_TIMEOUT_SECONDS = 5.0


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
