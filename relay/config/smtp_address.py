"""Parse the address of a mail server: its host, TLS, user and password."""

import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from relay.config.address_options import address_options, option_file

Tls = Literal["implicit", "starttls", "none"]

_PORTS = {"smtp": 587, "smtps": 465}  # RFC 6409: submission; RFC 8314: with TLS from the start
_ADDRESS = re.compile(
    r"(smtps?)://(?:([^:@/]+):([^@/]+)@)?([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?/?"
    r"(?:\?([^#]*))?"
)
_LOOPBACK = re.compile(r"localhost|127\.[0-9.]+|::1")
_OPTIONS = ("starttls", "ca_file")


@dataclass(frozen=True, slots=True)
class SmtpAddress:
    """Where a mail server is, and how it lets Relay in. `ca_file`: what to trust instead."""

    host: str
    port: int
    tls: Tls
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None


def smtp_address(text: str) -> SmtpAddress:
    """Parse an address like smtp://user:password@mail.example.com:587 or smtps://….

    `smtp://` takes STARTTLS before anything else is sent, but to a server on this machine; with
    `?starttls=off` it does without, and then without a password.
    """
    match = _ADDRESS.fullmatch(text.strip())
    port = int(match[5] or _PORTS[match[1]]) if match else 0
    if match is None or not 0 < port <= 65_535:
        raise ValueError(
            "must be an address like smtp://user:password@mail.example.com:587, or smtps://… for"
            " TLS from the start; percent-encode @ : / in user and password"
        )
    host, options = match[4].strip("[]"), address_options(match[6] or "", _OPTIONS)
    ca_file = option_file("ca_file", options["ca_file"]) if "ca_file" in options else None
    local = _LOOPBACK.fullmatch(host) is not None
    default = "off" if local and ca_file is None else "on"
    if (starttls := options.get("starttls", default)) not in ("on", "off"):
        raise ValueError("must have starttls=on or starttls=off")
    tls: Tls = "implicit" if match[1] == "smtps" else "starttls" if starttls == "on" else "none"
    if tls == "implicit" and "starttls" in options:
        raise ValueError("has starttls, which is for smtp://…: smtps:// has TLS from the start")
    if tls == "none" and ca_file is not None:
        raise ValueError("has ca_file, which is for TLS")
    if tls == "none" and match[3] is not None and not local:
        raise ValueError("would send its password unencrypted; leave out starttls=off")
    address = SmtpAddress(
        host=host,
        port=port,
        tls=tls,
        user=None if match[2] is None else unquote(match[2]),
        password=None if match[3] is None else unquote(match[3]),
        ca_file=ca_file,
    )
    smtp_tls_context(address)  # to refuse a file that holds no certificates
    return address


def smtp_tls_context(address: SmtpAddress) -> ssl.SSLContext | None:
    """What TLS connections trust; None without TLS. Raises ValueError."""
    if address.tls == "none":
        return None
    try:
        return ssl.create_default_context(cafile=address.ca_file)
    except OSError as error:  # also of the TLS library
        raise ValueError(f"has a file of certificates that cannot be used: {error}") from None
