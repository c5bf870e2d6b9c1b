"""Who speaks, when proxies pass on what is said: the one thing they are believed.

Neither scheme nor host is taken from a header: BASE_URL says both, whoever asks.
"""

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope


class Forwarded:
    """The app behind `hops` trusted proxies: each scope's `client` is the one they speak for."""

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
    """The address that the outermost of `hops` trusted proxies saw; None if that is not said.

    Each proxy adds its peer at the right of X-Forwarded-For; what stands further left is the
    client's own word. Header names in lower case.
    """
    values = [value for name, value in headers if name == b"x-forwarded-for"]
    said = b",".join(values).decode("latin-1").split(",")
    if len(said) < hops:
        return None
    return _address(said[-hops].strip())


def _address(text: str) -> str | None:
    """The address alone, in its one spelling; some proxies add a port. None: it is no address."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return None
