"""Middleware that adds CORS headers: pages of the listed origins may read answers.

It never sends `*` nor `Access-Control-Allow-Credentials`. Pages of other origins authenticate with
a bearer token or a ticket; the cookie is ignored for them.
"""

from collections.abc import Iterable
from typing import Any

from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

from relay.auth.origins import Listed
from relay.web.answers import Headers

METHODS = ("GET", "HEAD", "POST", "DELETE")
SENT = (
    *("Authorization", "Content-Type", "Last-Event-ID", "X-Request-ID"),
    *("webhook-id", "webhook-timestamp", "webhook-signature"),
)
READABLE = (
    *("X-Request-ID", "Retry-After", "WWW-Authenticate"),
    *("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"),
)
MAX_AGE = 7200  # seconds: Chromium caches a preflight no longer

_VARY = (b"vary", b"Origin")  # a cache must not serve one origin's answer to another
_EXPOSED = (b"access-control-expose-headers", ", ".join(READABLE).encode())
_GRANTED = [
    (b"access-control-allow-methods", ", ".join(METHODS).encode()),
    (b"access-control-allow-headers", ", ".join(SENT).encode()),
    (b"access-control-max-age", b"%d" % MAX_AGE),
]


def cors_headers(
    listed: Listed, fields: Iterable[tuple[bytes, bytes]], method: str = ""
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
    headers = [(b"access-control-allow-origin", origins[0]), _EXPOSED, _VARY]
    asked = [value for name, value in fields if name == b"access-control-request-method"]
    if method == "OPTIONS" and asked and asked[0].decode("latin-1") in METHODS:
        headers += _GRANTED
    return headers


class CORS:
    """The middleware. It adds the headers to every HTTP answer of the application."""

    def __init__(self, app: ASGIFramework, listed: Listed) -> None:
        self._app = app
        self._listed = listed

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        async def readable_send(message: Any) -> None:
            if message["type"] == "http.response.start":
                request: Any = scope
                granted = cors_headers(self._listed, request["headers"], request["method"])
                message["headers"] = [*message.get("headers", ()), *granted]
            await send(message)

        await self._app(scope, receive, readable_send if scope["type"] == "http" else send)
