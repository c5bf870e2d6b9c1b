"""The outermost ring of the app: every request gets an id, is counted and timed.

Plain ASGI, so that it also sees what Quart never does: handshakes refused before a handler,
and responses that fail half-way.
"""

import time
from typing import Any

from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

from relay import metrics
from relay.request_id import request_id_of

REQUEST_ID = "relay.request_id"  # where it stands in the scope
QUOTA = "relay.quota"  # RateLimit-* headers for the answer, set by whoever charged the request
ROUTE = "relay.route"  # the matched rule, set by the app; never the path itself

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def request_id(scope: Any) -> str:
    """The id of the request this scope belongs to."""
    return str(scope.get(REQUEST_ID, ""))


class Observed:
    def __init__(self, app: ASGIFramework) -> None:
        self._app = app

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        context: dict[str, Any] = scope  # type: ignore[assignment]
        identifier = request_id_of(context["headers"])
        context[REQUEST_ID] = identifier
        header = (b"x-request-id", identifier.encode())
        started = time.perf_counter()

        async def observed_send(message: Any) -> None:
            kind = message["type"]
            if kind in _STARTS:
                message["headers"] = [
                    *message.get("headers", ()),
                    header,
                    *context.get(QUOTA, ()),
                ]
                _observe(context, message.get("status", 101), time.perf_counter() - started)
            await send(message)

        await self._app(scope, receive, observed_send)


_STARTS = frozenset({"http.response.start", "websocket.http.response.start", "websocket.accept"})


def _observe(scope: dict[str, Any], status: int, seconds: float) -> None:
    route = scope.get(ROUTE, "unmatched")
    method = scope.get("method", "GET")
    if method not in _METHODS:
        method = "other"
    metrics.http_requests.labels(route, method, str(status)).inc()
    metrics.http_seconds.labels(route, method).observe(seconds)
