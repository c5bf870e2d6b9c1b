"""Middleware that gives every request an id, and counts, times and logs it.

It is plain ASGI, so that it also sees handshakes that are refused before a handler runs, and
responses that fail half-way. Quart's own hooks do not.
"""

import logging
import time
from collections.abc import Callable
from functools import cache
from typing import Any, cast

from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope
from structlog import get_logger

from relay.observability import metrics
from relay.observability.logs import bind_log_context, log_context, reset_log_context
from relay.server.request_id import request_id_of
from relay.web.scope_keys import HELD, QUOTA, REQUEST_ID, ROUTE, STARTED, STATUS, WAITED

_KEPT = (REQUEST_ID, STARTED, QUOTA)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_START_MESSAGES = frozenset(
    {"http.response.start", "websocket.http.response.start", "websocket.accept"}
)
_UNLOGGED_STATUSES = frozenset({404, 405})  # mostly scanners, so not logged at `info`

_LOGGER_NAME = "relay.request"
_stdlib_logger = logging.getLogger(_LOGGER_NAME)
log = get_logger(_LOGGER_NAME)


class AccessLog:
    """The middleware. Inside it, the scope and the log lines have the request id."""

    def __init__(self, app: ASGIFramework) -> None:
        self._app = app

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        scope_dict: dict[str, Any] = scope  # type: ignore[assignment]
        if REQUEST_ID not in scope_dict:  # otherwise it is run anew, for a held answer
            scope_dict[REQUEST_ID] = request_id_of(scope_dict["headers"])
            scope_dict[STARTED] = time.perf_counter()
        identifier, started = scope_dict[REQUEST_ID], scope_dict[STARTED]
        header = (b"x-request-id", identifier.encode())
        method = _method(scope_dict)
        status = 0

        async def send_and_count(message: Any) -> None:
            nonlocal status
            if message["type"] in _START_MESSAGES:
                quota = scope_dict.get(QUOTA)
                added = () if quota is None else quota.headers
                message["headers"] = [*message.get("headers", ()), *added, header]
                status = scope_dict.get(STATUS) or message.get("status", 101)
                if HELD not in scope_dict:
                    counter, seconds = _series(_route(scope_dict), method, status)
                    counter.inc()
                    if WAITED not in scope_dict:
                        seconds.observe(time.perf_counter() - started)
            await send(message)

        # kept when the app raises: the server logs that, and its line needs the request id
        token = bind_log_context(request_id=identifier)
        try:
            await self._app(scope, receive, send_and_count)
        finally:
            if HELD not in scope_dict:
                _log_end(_route(scope_dict), method, status, time.perf_counter() - started)
        reset_log_context(token)


def kept_of_request(scope: Any) -> tuple[Any, ...]:
    """What has to be kept of a request that may be run anew, to be logged as one."""
    return tuple([scope.get(key) for key in _KEPT])


def scope_of_kept(kept: tuple[Any, ...]) -> dict[str, Any]:
    """What the scope of the request needs that is run anew."""
    return dict(zip(_KEPT, kept, strict=True))


def note_end_later(scope: Any, status: int) -> Callable[[], None]:
    """Count and log the end of this request when the returned function is called.

    For an answer that is held. If the request is run anew, the function is not called.
    """
    scope[HELD] = True
    route, method = _route(scope), _method(scope)
    counter, _ = _series(route, method, status)
    if not _stdlib_logger.isEnabledFor(_answer_level(status)):
        return cast("Callable[[], None]", counter.inc)
    started, context = scope[STARTED], log_context()

    def note_end() -> None:
        counter.inc()
        token = bind_log_context(**context)
        _log_end(route, method, status, time.perf_counter() - started)
        reset_log_context(token)

    return note_end


def _method(scope_dict: dict[str, Any]) -> str:
    method: str = scope_dict.get("method", "GET")
    return method if method in _METHODS else "other"


def _route(scope_dict: dict[str, Any]) -> str:
    route: str = scope_dict.get(ROUTE, "unmatched")
    return route


@cache  # routes, methods and statuses are few
def _series(route: str, method: str, status: int) -> Any:
    labels = (route, method, str(status))
    return metrics.http_requests.labels(*labels), metrics.http_seconds.labels(*labels)


def _log_end(route: str, method: str, status: int, seconds: float) -> None:
    """Log the request's end. A close code in the log context means that it was a stream."""
    is_stream = "code" in log_context()
    level = _stream_level(log_context()["code"]) if is_stream else _answer_level(status)
    if not _stdlib_logger.isEnabledFor(level):
        return
    fields: dict[str, Any] = {"route": route, "method": method, "duration_s": round(seconds, 6)}
    if is_stream:
        log.log(level, "stream_ended", code=log_context()["code"], **fields)
    elif status:
        log.log(level, "request_ended", status=status, **fields)
    else:
        log.log(level, "request_abandoned", **fields)


def _answer_level(status: int) -> int:
    """The line's level. Ordinary answers are below `info`: metrics count them."""
    if status >= 500:
        return logging.WARNING
    if status >= 400 and status not in _UNLOGGED_STATUSES:
        return logging.INFO
    return logging.DEBUG


def _stream_level(code: int) -> int:
    return logging.WARNING if code == 1011 else logging.INFO
