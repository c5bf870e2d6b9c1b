"""Who a request comes from: Origin, cookie and bearer, judged before anything else is.

Every route carries exactly one of the decorators below: it names the credential the route
needs, and a test walks the URL map for routes without one.
"""

import time
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, TypeVar, cast

from quart import Request, Websocket, request

from relay.auth.credentials import Credential
from relay.auth.origins import Origins
from relay.auth.tokens import Kind
from relay.errors import (
    ForeignOrigin,
    InsufficientScope,
    InvalidToken,
    SessionRequired,
    Unauthorized,
)
from relay.observability.logs import know
from relay.rate_limiting import address_block
from relay.web.context import services

Incoming = Request | Websocket
Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Any]])

CREDENTIAL = "relay.credential"  # where it stands in the scope

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def cookie_name(secure: bool) -> str:
    """On https the `__Host-` prefix keeps sibling hosts from planting one (RFC 6265bis)."""
    return "__Host-relay_session" if secure else "relay_session"


def address_of(scope: Any) -> str:
    """The peer, or whom the trusted proxies say it is."""
    client = scope.get("client")
    return client[0] if client else "local"


def block_of(scope: Any) -> str:
    """Who counts as one where addresses are counted."""
    return address_block(address_of(scope))


def client_address(incoming: Incoming) -> str:
    return address_of(incoming.scope)


def client_block(incoming: Incoming) -> str:
    return block_of(incoming.scope)


def check_origin(incoming: Incoming, origins: Origins, *, watches: bool = False) -> str | None:
    """The request's Origin, if any. Raises ForeignOrigin where a foreign page may not be.

    Plain reading is the browser's own business (CORS); acting and watching are judged here.
    """
    origin = incoming.headers.get("Origin")
    judged = watches or isinstance(incoming, Websocket) or incoming.method not in _SAFE
    if judged and origin is not None and not origins.allows(origin):
        raise ForeignOrigin()
    return origin


def presented_token(incoming: Incoming, origins: Origins, *, secure: bool) -> str | None:
    """The credential that came along: a bearer, or the cookie where it counts.

    Raises InvalidToken for an Authorization header that is no bearer.
    """
    header = incoming.headers.get("Authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthorized("Authorization must be `Bearer <token>`.")
        if not token.strip():
            raise InvalidToken("Authorization must be `Bearer <token>`.", reason="malformed")
        return token.strip()
    if not _is_own_page(incoming, origins):
        return None
    return incoming.cookies.get(cookie_name(secure))


def _is_own_page(incoming: Incoming, origins: Origins) -> bool:
    """Whether Relay's own page sends this: nobody else may ride on the cookie."""
    origin = incoming.headers.get("Origin")
    if origin is not None:
        return origins.is_own(origin)
    return (
        isinstance(incoming, Request)
        and incoming.method in _SAFE
        and incoming.headers.get("Sec-Fetch-Site") == "same-origin"
    )


async def authenticate(incoming: Incoming) -> Credential:
    """Whoever it is. Raises Unauthorized, InvalidToken, DatabaseAway."""
    if (credential := await authenticate_if_given(incoming)) is None:
        raise Unauthorized()
    return credential


async def authenticate_if_given(incoming: Incoming) -> Credential | None:
    """Whoever it is, or nobody; what is sent and does not count is an error, never nobody.

    Who it was is remembered with the request: a limit may ask before the route does.
    """
    remembered = cast("dict[str, Any]", incoming.scope)
    if CREDENTIAL not in remembered:
        now = services()
        token = presented_token(incoming, now.origins, secure=now.secure)
        remembered[CREDENTIAL] = (
            None if token is None else _known(await now.access.authenticate(token, time.time()))
        )
    return cast("Credential | None", remembered[CREDENTIAL])


def _known(credential: Credential) -> Credential:
    """From here on the request's lines in the log say whose it is."""
    know(user_id=credential.user_id, token_id=credential.id)
    return credential


def _declare(need: str, handler: Handler, wrapped: Callable[..., Awaitable[Any]]) -> Handler:
    declared = wraps(handler)(wrapped)
    declared.credential = need  # type: ignore[attr-defined]
    return cast("Handler", declared)


def needs_nothing(handler: Handler) -> Handler:
    """Open to everyone who can reach Relay."""
    handler.credential = "none"  # type: ignore[attr-defined]
    return handler


def needs_session(handler: Handler) -> Handler:
    """A person's session; the handler gets `credential`."""

    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        credential = await authenticate(request)
        if credential.kind is not Kind.SESSION:
            raise SessionRequired()
        return await handler(*args, credential=credential, **kwargs)

    return _declare("session", handler, wrapped)


def needs_publisher(handler: Handler) -> Handler:
    """A hook token that may publish; the handler gets `credential`."""

    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        credential = await authenticate(request)
        if not credential.may_publish:
            raise InsufficientScope("Publishing takes a hook token that may.", scope="publish")
        return await handler(*args, credential=credential, **kwargs)

    return _declare("publisher", handler, wrapped)


def needs_any(handler: Handler) -> Handler:
    """A session or a hook token; the handler gets `credential` and judges the rest."""

    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        return await handler(*args, credential=await authenticate(request), **kwargs)

    return _declare("any", handler, wrapped)


def needs_any_or_revoked(handler: Handler) -> Handler:
    """Like `needs_any`, but a hook token that was revoked may still come: to hear so again."""

    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            credential = await authenticate(request)
        except InvalidToken as problem:
            credential = _revoked_hook(problem)
        return await handler(*args, credential=credential, **kwargs)

    return _declare("any, or revoked", handler, wrapped)


def _revoked_hook(problem: InvalidToken) -> Credential:
    now = services()
    token = presented_token(request, now.origins, secure=now.secure)
    if problem.reason != "revoked" or token is None:
        raise problem
    claims = now.access.keyring.verify(token)
    if claims.kind is not Kind.HOOK:
        raise problem
    return _known(
        Credential(
            claims.user_id,
            claims.id,
            claims.kind,
            claims.scopes,
            claims.expires_at,
            claims.expires_at,
        )
    )


def needs_viewer(handler: Handler) -> Handler:
    """A stream's own rule: bearer, ticket or cookie, judged by `viewer()` in the handler."""

    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        return await handler(*args, **kwargs)

    return _declare("viewer", handler, wrapped)


async def viewer(incoming: Incoming) -> Credential:
    """Who watches: a bearer, else `?ticket=`, else the cookie. Raises also InsufficientScope."""
    ticket = incoming.args.get("ticket")
    if ticket is not None and "Authorization" not in incoming.headers:
        now = services()

        def here(page: str) -> bool:
            """Whether this comes from that page; the own one sends no Origin when it reads."""
            origin = incoming.headers.get("Origin")
            own = now.origins.is_own(page) and _is_own_page(incoming, now.origins)
            return own if origin is None else origin == page

        credential = _known(await now.access.redeem_ticket(ticket, here))
    else:
        credential = await authenticate(incoming)
    credential.require_watch()
    return credential
