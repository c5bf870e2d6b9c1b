"""Which addresses count as one client."""

from ipaddress import IPv6Address


def address_block(address: str) -> str:
    """The key for an address: an IPv4 address, or the /64 block that an IPv6 subscriber gets."""
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
