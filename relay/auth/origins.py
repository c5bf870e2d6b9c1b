"""Which origins may use Relay: its own, and those that the operator lists. Pure."""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class OriginList:
    """The origins of the CORS setting, compared as a whole.

    In a pattern like `https://*.example.app`, `*` matches exactly one label, as in a certificate.
    """

    def __init__(self, origins: Sequence[str]) -> None:
        self._exact = frozenset(origin for origin in origins if "*" not in origin)
        self._patterns = [_compile_pattern(origin) for origin in origins if "*" in origin]

    def __len__(self) -> int:
        return len(self._exact) + len(self._patterns)

    def __contains__(self, origin: str) -> bool:
        return origin in self._exact or any(
            pattern.match(origin) is not None for pattern in self._patterns
        )


class Origins:
    """Relay's own origins and the listed ones."""

    def __init__(self, base_url: str, listed: Sequence[str]) -> None:
        self.own = _own_origins(base_url)
        self._listed = OriginList(listed)

    def is_own(self, origin: str) -> bool:
        """Whether it is the origin of Relay's own page."""
        return origin in self.own

    def allows(self, origin: str) -> bool:
        """Whether pages of this origin may use Relay: its own, and listed ones."""
        return self.is_own(origin) or origin in self._listed


def _own_origins(base_url: str) -> frozenset[str]:
    """The base URL's origin; on loopback, one for each name of the host."""
    parts = urlsplit(base_url)
    host = parts.netloc.rpartition(":")[0] if parts.port is not None else parts.netloc
    if host not in _LOOPBACK:
        return frozenset({base_url})
    port = "" if parts.port is None else f":{parts.port}"
    return frozenset(f"{parts.scheme}://{name}{port}" for name in _LOOPBACK)


def _compile_pattern(origin: str) -> re.Pattern[str]:
    """Compile a pattern, anchored at both ends."""
    before, after = map(re.escape, origin.split("*"))
    return re.compile(rf"\A{before}[a-z0-9](?:[a-z0-9-]{{0,61}}[a-z0-9])?{after}\Z")
