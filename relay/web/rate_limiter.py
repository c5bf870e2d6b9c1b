"""Enforce the rate limits of routes with quart-rate-limiter, which counts in `Limits`.

Where processes count together, the extension's first look at a call's key takes the call there, and
gets what was owed before it. So it decides as they have, and what it stores is stored already.
"""

from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, cast

from quart import Quart, current_app, request
from quart_rate_limiter import RateLimiter, RateLimitExceeded, rate_limit
from quart_rate_limiter.store import RateLimiterStoreABC

from relay.config.parsers import Rate
from relay.config.settings import Settings
from relay.errors import RateLimited, Unauthorized
from relay.observability import metrics
from relay.observability.logs import extend_log_context
from relay.shared_limits import Charge
from relay.web.auth import credential_if_given
from relay.web.rate_limits import Limit
from relay.web.request import Request, current_request

_COUNTS = "relay.counts_call"  # in the scope of a call that is to be counted with other processes
_OWED = "relay.owed_before_call"  # in that of one that was: seconds at the rate, before it


def enforce_limits(app: Quart, settings: Settings) -> None:
    """Enforce the declared limits of an app. Call it after every route is registered."""
    RateLimiter(
        app,
        key_function=_limit_key,
        skip_function=_is_skipped,
        store=AllowanceStore(),
        enabled=settings.rate_limits,
    )
    for endpoint, view in app.view_functions.items():
        if isinstance(limit := getattr(view, "limit", None), Limit):
            app.view_functions[endpoint] = _with_rate(getattr(settings, limit.setting), view)


def _with_rate(rate: Rate, view: Any) -> Any:
    """Wrap the view with this app's rate. The declared function is shared by all apps."""

    @wraps(view)
    async def limited_view(*args: Any, **kwargs: Any) -> Any:
        return await view(*args, **kwargs)

    # the extension takes a count and a period: a burst at once, then one each interval
    return rate_limit(rate.burst, timedelta(seconds=rate.burst * rate.interval))(limited_view)


def rate_limited(error: RateLimitExceeded, request: Request) -> RateLimited:
    """Convert the extension's exception into a problem."""
    limit = _current_limit()
    metrics.rate_limited.labels(limit.name).inc()
    extend_log_context(limit=limit.name)
    rate = getattr(request.services.settings, limit.setting)
    seconds = cast("int", error.retry_after)
    source = "user" if limit.per_user else "address"
    detail = f"More than {rate} of these calls from this {source}: try again in {seconds} s."
    return RateLimited(detail, retry_after=seconds)


def _current_limit() -> Limit:
    view: Any = current_app.view_functions[request.endpoint or ""]
    return cast("Limit", view.limit)


async def _is_skipped() -> bool:
    """Skip preflights. Also marks the request as still to be counted by all processes."""
    if request.method == "OPTIONS":
        return True
    current = current_request()
    if current.services.limits.is_shared:
        current.scope[_COUNTS] = True
    return False


async def _limit_key() -> str:
    """The key that is counted: the user where the limit is per user, else the address.

    Without a valid credential it is the address. The credential is looked up here, before the
    extension's `get` and `set`: nothing waits between those two, so the limits are exact. (Other
    processes are asked in the first `get`, which takes the call.)
    """
    current = current_request()
    if _current_limit().per_user:
        try:
            if (credential := await credential_if_given(current)) is not None:
                return str(credential.user_id)
        except Unauthorized:
            pass  # the route raises it again
    return current.address_block


class AllowanceStore(RateLimiterStoreABC):
    """The extension's store, backed by the app's `Limits`, on a monotonic clock."""

    async def before_serving(self) -> None:
        """Nothing to open."""

    async def after_serving(self) -> None:
        """Nothing to close."""

    async def get(self, key: str, default: datetime) -> datetime:
        """The key's TAT. `default` is the extension's current time."""
        current, limit = current_request(), _current_limit()
        limits, scope = current.services.limits, current.scope
        if scope.pop(_COUNTS, False):
            rate = getattr(current.services.settings, limit.setting)
            scope[_OWED] = await limits.count_call(Charge(limit.name, key, rate, 1, "calls"))
        if (owed := scope.get(_OWED)) is None:
            now = limits.allowances.clock()
            owed = limits.allowances.get((limit.name, key), now) - now
        return default + timedelta(seconds=owed)

    async def set(self, key: str, tat: datetime) -> None:
        """Store the key's TAT, its theoretical arrival time (relay/rate_limiting.py)."""
        current, limit = current_request(), _current_limit()
        if current.scope.pop(_OWED, None) is not None:
            return
        allowances = current.services.limits.allowances
        seconds_ahead = (tat - datetime.now(UTC)).total_seconds()
        allowances.set((limit.name, key), allowances.clock() + seconds_ahead)
