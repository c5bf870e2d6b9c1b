"""Checks that run before every handler, on direct routes and on Quart's routes alike."""

from relay.errors import NotFound
from relay.web.auth import refuse_foreign_origin
from relay.web.request import Request
from relay.web.scope_keys import ROUTE


def run_hooks(request: Request, rule: str | None) -> None:
    """Set the route's name for logs and metrics, and check Origin and path.

    `rule` is the route's rule in the URL map; None if no route matches the path. Raises
    ForeignOrigin, NotFound.
    """
    if rule is not None:
        request.scope[ROUTE] = rule
    refuse_foreign_origin(request)
    _refuse_other_spellings(request)


def _refuse_other_spellings(request: Request) -> None:
    """Refuse `//path` and any `%` in a path: both would pass a proxy's rule on `/path`.

    No route of Relay's needs an escape.
    """
    raw: bytes = request.scope.get("raw_path", b"")
    if b"%" in raw or raw.startswith(b"//"):
        raise NotFound()
