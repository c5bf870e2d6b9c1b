"""The addresses of hosts on a wire. Each wire has its own namespaces, so all may use the same."""

PREFIX = 24  # bits
NETWORK = "192.0.2.0/24"  # reserved for examples: it exists nowhere else


def address(number: int) -> str:
    """Of the number-th host, from 1."""
    return f"192.0.2.{number}"
