"""Which limit a route keeps. Declared beside the route; kept by quart-rate-limiter.

Events and handshakes are charged by the handlers themselves (`relay/rate_limiting.py`): the
extension counts requests, not events, and does not see WebSockets. Every route says which it is,
and a test walks the URL map for routes that do not.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, TypeVar, cast
from uuid import UUID

from quart import Quart, current_app, request
from quart_rate_limiter import RateLimiter, RateLimitExceeded, rate_exempt, rate_limit
from quart_rate_limiter.store import RateLimiterStoreABC

from relay.config.parsers import Rate
from relay.config.settings import Settings
from relay.errors import Problem, RateLimited, Unauthorized
from relay.observability import metrics
from relay.observability.logs import know
from relay.rate_limiting import OverLimit, Quota
from relay.web.auth import credential_if_given
from relay.web.middleware.access_log import QUOTA
from relay.web.request import Request, current_request

Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Any]])


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit's name in the metric, the setting that holds it, and who is counted."""

    name: str
    setting: str
    per_user: bool = False


SIGNUPS = Limit("signups", "rate_signups")
TOKENS = Limit("tokens", "rate_tokens", per_user=True)
READS = Limit("reads", "rate_reads", per_user=True)
PAGES = Limit("pages", "rate_pages")


def limited(limit: Limit) -> Callable[[Handler], Handler]:
    """Count the route's calls against this limit."""

    def declare(handler: Handler) -> Handler:
        return _declared(handler, limit, RateLimited)

    return declare


def limited_by_handler(handler: Handler) -> Handler:
    """The handler charges by itself: events, or handshakes."""
    return rate_exempt(_declared(handler, "by the handler", RateLimited))


def unlimited(why: str) -> Callable[[Handler], Handler]:
    """The route may be called without end, for this reason."""

    def declare(handler: Handler) -> Handler:
        return rate_exempt(_declared(handler, f"none: {why}"))

    return declare


def _declared(handler: Handler, limit: Limit | str, *refuses: type[Problem]) -> Handler:
    handler.limit = limit  # type: ignore[attr-defined]
    handler.limit_refuses = refuses  # type: ignore[attr-defined]
    return handler


def charge_events(request: Request, events: int) -> None:
    """Charge what a request publishes, to its token and its address. Raises RateLimited."""
    limits, token_id = request.services.limits, request.credential.id
    _charge(request, lambda: limits.publish(token_id, request.address_block, events))


def charge_handshake(request: Request) -> None:
    """Charge a new stream to the address that opens it. Raises RateLimited."""
    _charge(request, lambda: request.services.limits.connect_from(request.address_block))


def charge_viewer(request: Request, user_id: UUID) -> None:
    """Charge a new stream to the user it is for. Raises RateLimited."""
    _charge(request, lambda: request.services.limits.connect_as(user_id))


def _charge(request: Request, take: Callable[[], Quota | None]) -> None:
    """Charge, and have the answer tell what is left, whatever it is."""
    try:
        quota = take()
    except OverLimit as refused:
        request.scope[QUOTA] = refused.quota.headers
        raise
    if quota is not None:
        request.scope[QUOTA] = quota.headers


def keep_limits(app: Quart, settings: Settings) -> None:
    """Have the declared limits kept; call it when every route is registered."""
    RateLimiter(
        app,
        key_function=_counted,
        skip_function=_is_preflight,
        store=Store(),
        enabled=settings.rate_limits,
    )
    for endpoint, view in app.view_functions.items():
        if isinstance(limit := getattr(view, "limit", None), Limit):
            app.view_functions[endpoint] = _under(getattr(settings, limit.setting), view)


def _under(rate: Rate, view: Any) -> Any:
    """The view, under this app's own rate: the declared function belongs to every app."""

    @wraps(view)
    async def limited_view(*args: Any, **kwargs: Any) -> Any:
        return await view(*args, **kwargs)

    # a burst at once, then one an interval: the extension's count in its period
    return rate_limit(rate.burst, timedelta(seconds=rate.burst * rate.interval))(limited_view)


def rate_limited(error: RateLimitExceeded, request: Request) -> RateLimited:
    """The extension's refusal as our problem."""
    limit = _current_limit()
    metrics.rate_limited.labels(limit.name).inc()
    know(limit=limit.name)
    rate = getattr(request.services.settings, limit.setting)
    seconds = cast("int", error.retry_after)
    source = "user" if limit.per_user else "address"
    detail = f"More than {rate} of these calls from this {source}: try again in {seconds} s."
    return RateLimited(detail, retry_after=seconds)


def _current_limit() -> Limit:
    view: Any = current_app.view_functions[request.endpoint or ""]
    return cast("Limit", view.limit)


async def _is_preflight() -> bool:
    """A browser's question before a call is not the call."""
    return request.method == "OPTIONS"


async def _counted() -> str:
    """The user, where the limit is one's; else, or without a credential, the address.

    The credential is remembered with the request: between the extension's look and its note
    nothing waits, so its limits are exact.
    """
    asked = current_request()
    if _current_limit().per_user:
        try:
            if (credential := await credential_if_given(asked)) is not None:
                return str(credential.user_id)
        except Unauthorized:
            pass  # the route will say so
    return asked.address_block


class Store(RateLimiterStoreABC):
    """The extension's memory: the allowances of the app's own limits, on a monotonic clock."""

    async def before_serving(self) -> None:
        """Nothing to open."""

    async def after_serving(self) -> None:
        """Nothing to close."""

    async def get(self, key: str, default: datetime) -> datetime:
        """`default` is the extension's now."""
        allowances = current_request().services.limits.allowances
        now = allowances.clock()
        return default + timedelta(seconds=allowances.get(key, now) - now)

    async def set(self, key: str, tat: datetime) -> None:
        allowances = current_request().services.limits.allowances
        ahead = (tat - datetime.now(UTC)).total_seconds()
        allowances.set(key, allowances.clock() + ahead)
