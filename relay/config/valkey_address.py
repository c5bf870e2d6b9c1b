"""Parse the address of a Valkey or Redis: its hosts, TLS, user and password."""

import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from relay.config.address_options import address_options, option_file

DEFAULT_PORT = 6379
DEFAULT_PREFIX = "relay"
DEFAULT_USER = "default"  # the server's name of the user that a password alone belongs to
_TLS = {"valkey": False, "valkeys": True, "redis": False, "rediss": True}
_ADDRESS = re.compile(r"([a-z]+)://(?:([^:@/]*):([^@/]+)@)?([^@/?#]+)(?:/0?)?(?:\?([^#]*))?")
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
_PREFIX = re.compile(r"[A-Za-z0-9._-]{1,64}")
_FILES = ("ca_file", "cert_file", "key_file")


class Node(NamedTuple):
    """The address of one server."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ValkeyAddress:
    """Where a Valkey is and how it lets Relay in. `hosts` are some of its servers, at least one.

    `prefix` begins the names of all keys and channels, so that several Relays may share a Valkey.
    With `tls`, `ca_file` are the certificates to trust in place of the system's, and `cert_file`
    with `key_file` is the one to show.
    """

    hosts: tuple[Node, ...]
    tls: bool = False
    user: str = DEFAULT_USER
    password: str | None = field(default=None, repr=False)
    prefix: str = DEFAULT_PREFIX
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


def valkey_address(text: str) -> ValkeyAddress:
    """Parse an address like valkeys://user:password@one:6379,two:6379?prefix=relay."""
    match = _ADDRESS.fullmatch(text.strip())
    if match is None or match[1] not in _TLS:
        raise ValueError(
            "must be an address like valkey://user:password@host:6379,host:6379, or valkeys://…"
            " for TLS"
        )
    tls, options = _TLS[match[1]], address_options(match[5] or "", ("prefix", *_FILES))
    files = {name: option_file(name, options[name]) for name in _FILES if name in options}
    if files and not tls:
        raise ValueError(f"has {next(iter(files))}, which is for TLS: valkeys://…")
    if ("cert_file" in files) != ("key_file" in files):
        raise ValueError("must have cert_file and key_file together")
    prefix = options.get("prefix", DEFAULT_PREFIX)
    if not _PREFIX.fullmatch(prefix):
        raise ValueError("must have a prefix of 1 to 64 letters, digits, dots, - and _")
    address = ValkeyAddress(
        hosts=tuple([_node(part) for part in match[4].split(",")]),
        tls=tls,
        user=unquote(match[2] or "") or DEFAULT_USER,
        password=None if match[3] is None else unquote(match[3]),
        prefix=prefix,
        **files,
    )
    tls_context(address)  # to refuse files that are no certificates
    return address


def tls_context(address: ValkeyAddress) -> ssl.SSLContext | None:
    """What TLS connections trust and show; None without TLS. Raises ValueError."""
    if not address.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=address.ca_file)
        context.options |= ssl.OP_NO_RENEGOTIATION  # else a write might have to wait for a read
        if address.cert_file is not None:
            context.load_cert_chain(address.cert_file, address.key_file)
    except OSError as error:  # also of the TLS library
        raise ValueError(f"has a file of certificates that cannot be used: {error}") from None
    return context


def _node(text: str) -> Node:
    match = _HOST.fullmatch(text.strip())
    port = int(match[2] or DEFAULT_PORT) if match else 0
    if match is None or not 0 < port <= 65_535:
        raise ValueError(f"names the host {text.strip()!r}; each must be HOST or HOST:PORT")
    return Node(match[1].strip("[]"), port)
