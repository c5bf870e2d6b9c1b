"""Which addresses Relay calls for its users: public ones, so that no user reaches what it can.

A literal address is checked when a channel is added. A name is checked each time it is resolved,
because it may then lead elsewhere.
"""

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from relay.channels.urls import parse_url

MAX_URL_CHARACTERS = 2_000
PORTS = (80, 443)

Address = IPv4Address | IPv6Address

# Its last 32 bits are an IPv4 address that a translator connects to (RFC 6052).
_TRANSLATED = IPv6Network("64:ff9b::/96")
# The same within a site (RFC 8215), which decides where in it the IPv4 address stands.
_TRANSLATED_LOCALLY = IPv6Network("64:ff9b:1::/48")
# What Python's table of special addresses lacks, in its older patch releases or in all of them.
_NOT_PUBLIC = (
    IPv4Network("192.0.0.0/24"),  # of protocols (RFC 6890), and a cloud's metadata at .192
    IPv4Network("168.63.129.16/32"),  # the host of a virtual machine in Azure
    IPv6Network("3fff::/20"),  # of documentation (RFC 9637)
)
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal", ".home.arpa")


def host_of(url: str) -> str:
    """The host of an address, in one spelling: so what has many of them has one bound.

    A name is in lower case and ASCII (IDNA), without the dot of the root. A literal address is
    written the shortest way, and is IPv4 where an IPv6 one stands for that.
    """
    host = parse_url(url).raw_host.decode("ascii").strip("[]").rstrip(".").lower()
    literal = literal_address(host)
    if isinstance(literal, IPv6Address) and not literal.is_loopback:
        literal = _inner_address(literal) or literal
    return host if literal is None else str(literal)


def is_public(address: Address) -> bool:
    """Whether it is an address of the public internet, whatever form it is written in."""
    if isinstance(address, IPv6Address):
        if address.scope_id is not None or address.teredo is not None or address.is_site_local:
            return False
        if address in _TRANSLATED_LOCALLY:
            return False
        inner = _inner_address(address)
        if inner is not None:
            return is_public(inner)
    if any(address in network for network in _NOT_PUBLIC):
        return False
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_unspecified
    )


def _inner_address(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    number = int(address)
    if address in _TRANSLATED or 0 < number < 2**32:
        return IPv4Address(number & 0xFFFFFFFF)  # translated, or compatible (RFC 4291, 2.5.5.1)
    return None


def literal_address(host: str) -> Address | None:
    """The address that a host is written as, in any form that a resolver takes; None for a name."""
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))  # 127.1, 0x7f.1, 2130706433
    except (OSError, ValueError):
        return None


def check_url(url: str, *, private: bool) -> str:
    """The address in its normal form. `private`: as with RELAY_OUTBOUND_PRIVATE=on.

    Raises ValueError with what is wrong with it.
    """
    if len(url) > MAX_URL_CHARACTERS:
        raise ValueError(f"must have at most {MAX_URL_CHARACTERS} characters")
    try:
        parsed = parse_url(url)
        port = parsed.port
    except ValueError:
        raise ValueError("must be an address like https://example.com/hook") from None
    if parsed.scheme not in (("http", "https") if private else ("https",)) or not parsed.host:
        raise ValueError("must be an https address like https://example.com/hook")
    if parsed.userinfo:
        raise ValueError("must have no user name and no password")
    if private:
        return str(parsed.copy_with(fragment=None))
    if port is not None and port not in PORTS:
        raise ValueError("must have the port 443 or 80")
    host = parsed.host.rstrip(".").lower()
    literal = literal_address(host)
    if literal is not None and not is_public(literal):
        raise ValueError("must be a public address")
    if host == "localhost" or host.endswith(_LOCAL_SUFFIXES):
        raise ValueError("must be the name of a public host")
    return str(parsed.copy_with(fragment=None))
