"""Shows a one-time link in a terminal, as text and as a QR code."""

import sys
from urllib.parse import urlsplit

import segno

from relay.cli.api_answers import CreatedLink, request
from relay.cli.output import is_terminal, note, show
from relay.client.api_client import ApiClient

LOOPBACK = ("127.0.0.1", "localhost", "::1")
HALF_BLOCKS = "▀▄█"  # a compact QR code is drawn with these, another one with colours


def show_link(relay: ApiClient) -> None:
    """Print a new link, and on a terminal its QR code if a phone can reach the address."""
    created = request(relay, CreatedLink, "POST", "/api/session/link")
    show(created.link)
    is_local = urlsplit(created.link).hostname in LOOPBACK
    if is_terminal(sys.stdout) and not is_local:
        show()
        segno.make(created.link, micro=False).terminal(compact=_has(HALF_BLOCKS), border=2)
    minutes = round(created.expires_in / 60)
    note(f"It works once, within {minutes} minutes.")
    note("The first person to open it can see and control your stream.")
    if is_local:
        note(
            "It works on this machine only."
            " For a phone, start Relay with a BASE_URL that the phone can reach."
        )


def _has(characters: str) -> bool:
    """Whether stdout's encoding has the characters."""
    try:
        characters.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return False
    return True
