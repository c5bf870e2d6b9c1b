"""Which credential a route needs, as data.

A route declares its need with `@needs` (relay/web/routes.py). relay/web/auth.py enforces it, and
relay/web/openapi/ documents it.
"""

from collections.abc import Callable

import msgspec

from relay.auth.tokens import Kind, Scope
from relay.auth.webhook_signatures import BadSignature
from relay.errors import (
    ClockBehind,
    DatabaseAway,
    ForeignOrigin,
    InsufficientScope,
    InvalidToken,
    Problem,
    SessionRequired,
    Unauthorized,
)

_REFUSALS = (Unauthorized, InvalidToken, ClockBehind, DatabaseAway)


def _session_required(_kind: Kind) -> Problem:
    return SessionRequired()


def _may_not_publish(kind: Kind) -> Problem:
    if kind is Kind.SESSION:
        make = "`relay token create`, or POST /api/token"
        detail = f"A session cannot publish. Make a token for it: {make}."
    else:
        detail = "This token is watch-only. Use one that can publish."
    return InsufficientScope(detail, scope=Scope.PUBLISH)


def _may_not_watch(_kind: Kind) -> Problem:
    return InsufficientScope(
        "This token is publish-only. Use one that can watch.", scope=Scope.WATCH
    )


class Need(msgspec.Struct, frozen=True):
    """The credential that a route needs.

    `accepts`: security schemes of the OpenAPI document. `refuses`: the problems it may raise.
    `scopes`: one of them is enough; if empty, every live credential is admitted. `refusal` makes
    the problem for a kind of credential that has none of them. `revoked`: a revoked hook token is
    admitted as well. `by_handler`: the handler checks the credential, if any, by itself.
    """

    accepts: tuple[str, ...] = ()
    refuses: tuple[type[Problem], ...] = ()
    scopes: tuple[str, ...] = ()
    refusal: Callable[[Kind], Problem] = _session_required
    revoked: bool = False
    by_handler: bool = False


NOTHING = Need(by_handler=True)
"""No credential: open to every client that can reach Relay."""

SESSION = Need(
    accepts=("session", "cookie"), refuses=(*_REFUSALS, SessionRequired), scopes=(Kind.SESSION,)
)
"""A person's session."""

PUBLISHER = Need(
    accepts=("hook",),
    refuses=(*_REFUSALS, InsufficientScope, BadSignature),
    scopes=(Scope.WEBHOOK, Scope.PUBLISH),
    refusal=_may_not_publish,
)
"""A hook token that may publish: what reads the body checks its signature."""

ASKER = Need(
    accepts=("session", "hook", "cookie"),
    refuses=(*_REFUSALS, InsufficientScope),
    scopes=(Kind.SESSION, Scope.WEBHOOK, Scope.PUBLISH),
    refusal=_may_not_publish,
)
"""A session, or a hook token that may publish: the handler checks that it is the one that asked."""

WATCHER = Need(
    accepts=("session", "hook", "cookie"),
    refuses=(*_REFUSALS, InsufficientScope),
    scopes=(Kind.SESSION, Scope.WEBHOOK, Scope.WATCH),
    refusal=_may_not_watch,
)
"""A session, or a hook token that may watch."""

ANY_OR_REVOKED = Need(accepts=("session", "hook", "cookie"), refuses=_REFUSALS, revoked=True)
"""A session or a hook token. A revoked token may revoke itself again, with the same answer."""

VIEWER = Need(
    accepts=("session", "hook", "ticket", "cookie"),
    refuses=(*_REFUSALS, InsufficientScope, ForeignOrigin),
    by_handler=True,
)
"""What opens a stream: a bearer token, a ticket or the cookie. See `authenticate_viewer`."""
