"""Declare each route's rate limit beside the route, and charge events and handshakes.

`@limited` counts a route's requests; relay/web/rate_limiter.py enforces it with
quart-rate-limiter. The extension counts requests, not events, and does not see WebSockets, so
handlers charge events and handshakes. Every route must declare one of the three; a test walks the
URL map.
"""

from collections.abc import Awaitable, Callable, Collection
from functools import wraps
from typing import Any, TypeVar, cast
from uuid import UUID

import msgspec
from quart_rate_limiter import rate_exempt

from relay.errors import Problem, RateLimited
from relay.rate_limiting import OverLimit, Quota, note_refusal
from relay.shared_limits import Charge
from relay.web.request import Request
from relay.web.scope_keys import QUOTA

Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Any]])


class Limit(msgspec.Struct, frozen=True):
    """A limit's name in the metric, and the setting that holds its rate.

    `per_user`: it counts calls per user, else per address. `in_turn`: of each user only some of
    these calls are served at a time (relay/db/reader_turns.py).
    """

    name: str
    setting: str
    per_user: bool = False
    in_turn: bool = False


SIGNUPS = Limit("signups", "rate_signups")
TOKENS = Limit("tokens", "rate_tokens", per_user=True)
READS = Limit("reads", "rate_reads", per_user=True, in_turn=True)
# they wait for their client: for as long as it takes a download, or sends a body
CLIENT_PACED_READS = Limit("reads", "rate_reads", per_user=True)
EXPORTS = Limit("exports", "rate_exports", per_user=True)
PAGES = Limit("pages", "rate_pages")


def limited(limit: Limit) -> Callable[[Handler], Handler]:
    """Count the route's requests against this limit."""

    def declare(view: Handler) -> Handler:
        if limit.in_turn:
            view.handler = _in_turn(view.handler)  # type: ignore[attr-defined]
        return _declare_limit(view, limit, RateLimited)

    return declare


def _in_turn(handler: Handler) -> Handler:
    """Serve a call when it is its turn among those of its user. Raises UserTurnMissed."""

    @wraps(handler)
    async def in_turn(request: Request) -> Any:
        async with request.services.reading_calls.turn(request.credential.user_id):
            return await handler(request)

    return cast("Handler", in_turn)


def limited_by_handler(handler: Handler) -> Handler:
    """The handler charges what it takes: events or handshakes."""
    return rate_exempt(_declare_limit(handler, "by the handler", RateLimited))


def unlimited(reason: str) -> Callable[[Handler], Handler]:
    """The route has no rate limit, for this reason."""

    def declare(handler: Handler) -> Handler:
        return rate_exempt(_declare_limit(handler, f"none: {reason}"))

    return declare


def _declare_limit(handler: Handler, limit: Limit | str, *refuses: type[Problem]) -> Handler:
    handler.limit = limit  # type: ignore[attr-defined]
    handler.limit_refuses = refuses  # type: ignore[attr-defined]
    return handler


async def charge_events(request: Request, events: int) -> None:
    """Charge published events to the request's token and address. Raises RateLimited."""
    limits, token_id = request.services.limits, request.credential.id
    await _charge(request, limits.charge_events(token_id, request.address_block, events))


async def charge_handshake(request: Request) -> None:
    """Charge a new stream to its address. Raises RateLimited."""
    await _charge(request, request.services.limits.charge_handshake(request.address_block))


async def charge_viewer(request: Request, user_id: UUID) -> None:
    """Charge a new stream to its user. Raises RateLimited."""
    await _charge(request, request.services.limits.charge_viewer(user_id))


async def charge_beat(request: Request, task_ids: Collection[str]) -> None:
    """Charge a beat to each of the tasks and to the user. Raises RateLimited."""
    user_id = request.credential.user_id
    await _charge(request, request.services.limits.charge_beat(user_id, task_ids))


async def charge_look(request: Request, ask_id: UUID) -> None:
    """Charge a look at an ask, which may not exist, to it and to the user. Raises RateLimited."""
    user_id = request.credential.user_id
    await _charge(request, request.services.limits.charge_look(user_id, ask_id))


async def charge_mail_code(request: Request, mailbox: str) -> None:
    """Charge a mail with a code to its client, user and mailbox. Raises RateLimited."""
    limits, user_id = request.services.limits, request.credential.user_id
    await _charge(request, limits.charge_mail_code(user_id, mailbox, request.address_block))


async def refund_mail_code(request: Request, mailbox: str, *, tried: bool = False) -> None:
    """Give back the charge of a mail with a code that is not sent; see `Limits`."""
    limits, user_id = request.services.limits, request.credential.user_id
    await limits.refund_mail_code(user_id, mailbox, request.address_block, tried=tried)


async def charge_mail_code_try(request: Request, mailbox: str) -> None:
    """Charge a try to enter a mailed code to the client and its user. Raises RateLimited."""
    limits, user_id = request.services.limits, request.credential.user_id
    await _charge(request, limits.charge_mail_code_try(user_id, mailbox, request.address_block))


def over_limit(request: Request, charge: Charge, wait: float) -> OverLimit:
    """The refusal of a charge to a rate that the database counts, and that is used up for so many
    seconds. Its quota is in the answer's RateLimit headers."""
    refused = note_refusal(charge, wait, charge.rate.burst * charge.rate.interval)
    request.scope[QUOTA] = refused.quota
    return refused


async def _charge(request: Request, charging: Awaitable[Quota | None]) -> None:
    """Charge, and put the quota into the answer's RateLimit headers. Raises RateLimited."""
    try:
        quota = await charging
    except OverLimit as refused:
        request.scope[QUOTA] = refused.quota
        raise
    if quota is not None:
        request.scope[QUOTA] = quota
