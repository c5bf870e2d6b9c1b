"""How all of the client speaks HTTP: as whom, as what, and no slower to begin than it must be."""

import ssl

import httpx

from relay import __version__

CONNECT = 5.0  # seconds


def open_http(url: str, token: str | None, answer: float) -> httpx.Client:
    """A connection to the Relay at `url`, which answers within so many seconds or not at all."""
    headers = {"User-Agent": f"relay/{__version__}"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    # the authorities of the world take longer to load than a request takes; without TLS none is
    # asked, and what trusts nobody is what an https address met by mistake deserves
    trusted = True if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.Client(
        timeout=httpx.Timeout(answer, connect=CONNECT), headers=headers, verify=trusted
    )
