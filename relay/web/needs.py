"""Which credential a route needs, as data: what is admitted, what is refused, how it is told.

A route declares its need with `@needs` (relay/web/routes.py); relay/web/auth.py keeps it, and the
reference is made of it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from relay.auth.tokens import Kind, Scope
from relay.errors import (
    DatabaseAway,
    ForeignOrigin,
    InsufficientScope,
    InvalidToken,
    Problem,
    SessionRequired,
    Unauthorized,
)

_REFUSALS = (Unauthorized, InvalidToken, DatabaseAway)


@dataclass(frozen=True, slots=True)
class Need:
    """The credential that a route needs.

    `accepts` are security schemes of the reference, and `refuses` what the need may refuse. One of
    `scopes` is enough; without any, every live credential is admitted. `refusal` makes the problem
    for a credential that has none of them. `revoked`: a revoked hook token is admitted, too.
    `by_handler`: the handler reads the credential by itself.
    """

    accepts: tuple[str, ...] = ()
    refuses: tuple[type[Problem], ...] = ()
    scopes: tuple[str, ...] = ()
    refusal: Callable[[], Problem] = SessionRequired
    revoked: bool = False
    by_handler: bool = False


def _may_not_publish() -> Problem:
    return InsufficientScope("Publishing takes a hook token that may.", scope=Scope.PUBLISH)


def _may_not_watch() -> Problem:
    return InsufficientScope("This token may publish only, not watch.", scope=Scope.WATCH)


NOTHING = Need(by_handler=True)
"""Open to every client that can reach Relay."""

SESSION = Need(
    accepts=("session", "cookie"), refuses=(*_REFUSALS, SessionRequired), scopes=(Kind.SESSION,)
)
"""A person's session."""

PUBLISHER = Need(
    accepts=("hook",),
    refuses=(*_REFUSALS, InsufficientScope),
    scopes=(Scope.WEBHOOK, Scope.PUBLISH),
    refusal=_may_not_publish,
)
"""A hook token that may publish."""

WATCHER = Need(
    accepts=("session", "hook", "cookie"),
    refuses=(*_REFUSALS, InsufficientScope),
    scopes=(Kind.SESSION, Scope.WEBHOOK, Scope.WATCH),
    refusal=_may_not_watch,
)
"""A session, or a hook token that may watch."""

ANY_OR_REVOKED = Need(accepts=("session", "hook", "cookie"), refuses=_REFUSALS, revoked=True)
"""A session or a hook token, revoked or not: a repeated revocation gets the same answer."""

VIEWER = Need(
    accepts=("session", "hook", "ticket", "cookie"),
    refuses=(*_REFUSALS, InsufficientScope, ForeignOrigin),
    by_handler=True,
)
"""What opens a stream: a bearer, a ticket or the cookie; the handler calls `viewer`."""
