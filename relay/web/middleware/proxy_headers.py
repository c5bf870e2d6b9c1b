"""Middleware that takes the client's address from X-Forwarded-For, behind trusted proxies.

No other proxy header is used: BASE_URL has the scheme and the host.
"""

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope


class ProxyHeaders:
    """The middleware. It puts the address that `forwarded_for` finds into the scope."""

    def __init__(self, app: ASGIFramework, hops: int) -> None:
        self._app = app
        self._hops = hops

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        context: dict[str, Any] = scope  # type: ignore[assignment]
        if scope["type"] != "lifespan":
            address = forwarded_for(context["headers"], self._hops)
            if address is not None:
                context["client"] = (address, 0)
        await self._app(scope, receive, send)


def forwarded_for(headers: Iterable[tuple[bytes, bytes]], hops: int) -> str | None:
    """The peer's address that the outermost of `hops` trusted proxies added, or None.

    Each proxy appends its peer to X-Forwarded-For. Entries further left came from the client, and
    may be forged. Header names in lower case.
    """
    values = [value for name, value in headers if name == b"x-forwarded-for"]
    addresses = b",".join(values).decode("latin-1").split(",")
    if len(addresses) < hops:
        return None
    return _address(addresses[-hops].strip())


def _address(text: str) -> str | None:
    """Normalize an address, without the port that some proxies add; None if it is invalid."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return None
