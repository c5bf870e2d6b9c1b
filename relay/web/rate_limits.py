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
from relay.rate_limiting import Allowances, Limits, OverLimit, Quota
from relay.web.auth import authenticate_if_given, block_of, client_block
from relay.web.context import services
from relay.web.middleware.access_log import QUOTA

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


def charge_events(limits: Limits, scope: Any, token_id: UUID, events: int) -> None:
    """Charge what the request of this scope publishes. Raises RateLimited."""
    block = block_of(scope)
    _charge(scope, lambda: limits.publish(token_id, block, events))


def charge_handshake(limits: Limits, scope: Any) -> None:
    """Charge a new stream to the address it comes from. Raises RateLimited."""
    block = block_of(scope)
    _charge(scope, lambda: limits.connect_from(block))


def charge_viewer(limits: Limits, scope: Any, user_id: UUID) -> None:
    """Charge a new stream to the user it is for. Raises RateLimited."""
    _charge(scope, lambda: limits.connect_as(user_id))


def _charge(scope: Any, take: Callable[[], Quota | None]) -> None:
    """Whatever the answer will be, it says what is left."""
    try:
        quota = take()
    except OverLimit as refused:
        scope[QUOTA] = refused.quota.headers
        raise
    if quota is not None:
        scope[QUOTA] = quota.headers


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


def refused(error: RateLimitExceeded) -> RateLimited:
    """What the extension refuses, in our words."""
    limit = _limit()
    metrics.rate_limited.labels(limit.name).inc()
    know(limit=limit.name)
    rate, seconds = getattr(services().settings, limit.setting), cast("int", error.retry_after)
    who = "user" if limit.per_user else "address"
    detail = f"More than {rate} of these calls from this {who}: try again in {seconds} s."
    return RateLimited(detail, retry_after=seconds)


def _limit() -> Limit:
    view: Any = current_app.view_functions[request.endpoint or ""]
    return cast("Limit", view.limit)


async def _is_preflight() -> bool:
    """A browser's question before a call is not the call."""
    return request.method == "OPTIONS"


async def _counted() -> str:
    """Who is counted: the user where the limit is one's, and else, or while nobody, the address.

    The credential is remembered with the request: between the extension's look and its note
    nothing waits, so its limits are exact.
    """
    if _limit().per_user:
        try:
            if (credential := await authenticate_if_given(request)) is not None:
                return str(credential.user_id)
        except Unauthorized:
            pass  # the handler will say so
    return client_block(request)


class Store(RateLimiterStoreABC):
    """The extension's memory: ours, bounded, and deaf to steps of the wall clock."""

    def __init__(self) -> None:
        self._allowances = Allowances()

    async def before_serving(self) -> None:
        """Nothing to open."""

    async def after_serving(self) -> None:
        """Nothing to close."""

    async def get(self, key: str, default: datetime) -> datetime:
        """`default` is the extension's now."""
        now = self._allowances.clock()
        return default + timedelta(seconds=self._allowances.get(key, now) - now)

    async def set(self, key: str, tat: datetime) -> None:
        ahead = (tat - datetime.now(UTC)).total_seconds()
        self._allowances.set(key, self._allowances.clock() + ahead)
