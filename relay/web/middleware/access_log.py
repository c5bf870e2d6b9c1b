"""Middleware that gives every request an id, and counts, times and logs it.

It is plain ASGI, so that it also sees handshakes that are refused before a handler runs, and
responses that fail half-way. Quart's own hooks do not.
"""

import logging
import time
from functools import cache
from typing import Any

from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope
from structlog import get_logger

from relay.observability import metrics
from relay.observability.logs import about, forget, known
from relay.server.request_id import request_id_of

# Keys of the scope.
REQUEST_ID = "relay.request_id"
QUOTA = "relay.quota"  # RateLimit-* headers for the answer, set when the request is charged
ROUTE = "relay.route"  # the matched rule, set by the app; never the path itself

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_STARTS = frozenset({"http.response.start", "websocket.http.response.start", "websocket.accept"})
_STRAY = frozenset({404, 405})  # mostly scanners, so not logged at `info`

_NAME = "relay.request"
_level_of = logging.getLogger(_NAME)
log = get_logger(_NAME)


def request_id(scope: Any) -> str:
    """The id of this scope's request."""
    return str(scope.get(REQUEST_ID, ""))


class Observed:
    """The middleware. Inside it, `request_id` works and log lines have the request id."""

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
        method = context.get("method", "GET")
        if method not in _METHODS:
            method = "other"
        started = time.perf_counter()
        status = 0

        async def observed_send(message: Any) -> None:
            nonlocal status
            if message["type"] in _STARTS:
                message["headers"] = [
                    *message.get("headers", ()),
                    header,
                    *context.get(QUOTA, ()),
                ]
                status = message.get("status", 101)
                counter, seconds = _series(_route(context), method, status)
                counter.inc()
                seconds.observe(time.perf_counter() - started)
            await send(message)

        # kept when the app raises: the server logs that, and its line needs the request id
        token = about(request_id=identifier)
        try:
            await self._app(scope, receive, observed_send)
        finally:
            _tell_end(_route(context), method, status, time.perf_counter() - started)
        forget(token)


def _route(context: dict[str, Any]) -> str:
    route: str = context.get(ROUTE, "unmatched")
    return route


@cache  # routes, methods and statuses are few
def _series(route: str, method: str, status: int) -> Any:
    labels = (route, method, str(status))
    return metrics.http_requests.labels(*labels), metrics.http_seconds.labels(*labels)


def _tell_end(route: str, method: str, status: int, seconds: float) -> None:
    """Log the request's end. A close code in the log context means that it was a stream."""
    streamed = "code" in known()
    level = _weight_of_stream(known()["code"]) if streamed else _weight(status)
    if not _level_of.isEnabledFor(level):
        return
    facts: dict[str, Any] = {"route": route, "method": method, "duration_s": round(seconds, 6)}
    if streamed:
        log.log(level, "stream_ended", code=known()["code"], **facts)
    elif status:
        log.log(level, "request_ended", status=status, **facts)
    else:
        log.log(level, "request_abandoned", **facts)


def _weight(status: int) -> int:
    """The line's level. Ordinary answers are below `info`: metrics count them."""
    if status >= 500:
        return logging.WARNING
    if status >= 400 and status not in _STRAY:
        return logging.INFO
    return logging.DEBUG


def _weight_of_stream(code: int) -> int:
    return logging.WARNING if code == 1011 else logging.INFO
