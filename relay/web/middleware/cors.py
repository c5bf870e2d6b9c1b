"""Middleware that adds CORS headers: pages of the listed origins may read answers.

It never sends `*` nor `Access-Control-Allow-Credentials`. Pages of other origins authenticate with
a bearer token or a ticket; the cookie is ignored for them.
"""

from collections.abc import Iterable
from typing import Any

from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

from relay.auth.origins import OriginList
from relay.web.answers import Headers

ALLOWED_METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE")
ALLOWED_HEADERS = (
    *("Authorization", "Content-Type", "Last-Event-ID", "X-Request-ID"),
    *("webhook-id", "webhook-timestamp", "webhook-signature"),
)
EXPOSED_HEADERS = (
    *("X-Request-ID", "Retry-After", "WWW-Authenticate"),
    *("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"),
)
PREFLIGHT_MAX_AGE_SECONDS = 7200  # seconds: Chromium caches a preflight no longer

_VARY = (b"vary", b"Origin")  # a cache must not serve one origin's answer to another
_EXPOSE_HEADERS = (b"access-control-expose-headers", ", ".join(EXPOSED_HEADERS).encode())
_PREFLIGHT_HEADERS = [
    (b"access-control-allow-methods", ", ".join(ALLOWED_METHODS).encode()),
    (b"access-control-allow-headers", ", ".join(ALLOWED_HEADERS).encode()),
    (b"access-control-max-age", b"%d" % PREFLIGHT_MAX_AGE_SECONDS),
]


def cors_headers(
    listed: OriginList, fields: Iterable[tuple[bytes, bytes]], method: str = ""
) -> Headers:
    """The CORS headers of an answer to a request with these fields; names in lower case.

    A request with two Origin headers counts as unlisted.
    """
    if not listed:
        return []
    fields = list(fields)
    origins = [value for name, value in fields if name == b"origin"]
    if len(origins) != 1 or origins[0].decode("latin-1") not in listed:
        return [_VARY]
    headers = [(b"access-control-allow-origin", origins[0]), _EXPOSE_HEADERS, _VARY]
    requested_method = [value for name, value in fields if name == b"access-control-request-method"]
    if (
        method == "OPTIONS"
        and requested_method
        and requested_method[0].decode("latin-1") in ALLOWED_METHODS
    ):
        headers += _PREFLIGHT_HEADERS
    return headers


class CORS:
    """The middleware. It adds the headers to every HTTP answer of the application."""

    def __init__(self, app: ASGIFramework, listed: OriginList) -> None:
        self._app = app
        self._listed = listed

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        async def send_with_cors(message: Any) -> None:
            if message["type"] == "http.response.start":
                request: Any = scope
                cors = cors_headers(self._listed, request["headers"], request["method"])
                message["headers"] = [*message.get("headers", ()), *cors]
            await send(message)

        await self._app(scope, receive, send_with_cors if scope["type"] == "http" else send)
