"""The checks before every handler, on both ways to it: the table of direct routes, and Quart."""

from relay.errors import NotFound
from relay.web.auth import refuse_foreign_origin
from relay.web.middleware.access_log import ROUTE
from relay.web.request import Request


def run_hooks(request: Request, rule: str | None) -> None:
    """Name the route, refuse foreign pages and other spellings. Raises ForeignOrigin, NotFound.

    `rule` is the route's address in the URL map; None where no route has the request's path.
    """
    if rule is not None:
        request.scope[ROUTE] = rule
    refuse_foreign_origin(request)
    _refuse_other_spellings(request)


def _refuse_other_spellings(request: Request) -> None:
    """Refuse `//path` and `%2Fpath`: a proxy's rule on `/path` must hold, and Quart routes both."""
    raw: bytes = request.scope.get("raw_path", b"")
    if raw.startswith(b"//") or (b"%" in raw and b"%2f" in raw.lower()):
        raise NotFound()
