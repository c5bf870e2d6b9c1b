"""Authenticate a request, and check that its credential is what the route needs.

Authlib parses the Authorization header and checks expiry and scopes (RFC 6750). `CredentialStore`
looks up which credentials are live.
"""

import time
from functools import lru_cache
from types import SimpleNamespace

from authlib.oauth2 import OAuth2Error, ResourceProtector
from authlib.oauth2.rfc6749.errors import UnsupportedTokenTypeError
from authlib.oauth2.rfc6750 import BearerTokenValidator, InsufficientScopeError

from relay.auth.credentials import Credential
from relay.auth.tokens import Kind
from relay.errors import ForeignOrigin, InvalidToken, Problem, Unauthorized
from relay.observability.logs import extend_log_context
from relay.web.bearer_challenges import REALM
from relay.web.needs import WATCHER, Need
from relay.web.request import SAFE_METHODS, Request, WebSocketRequest


class _Validator(BearerTokenValidator):  # type: ignore[misc]  # Authlib has no types
    """Authlib's validator, with a cache: it splits the same few scopes for each request."""

    scope_insufficient = staticmethod(
        lru_cache(maxsize=64)(BearerTokenValidator.scope_insufficient)
    )


_validator = _Validator(REALM)
_protector = ResourceProtector()
_protector.register_token_validator(_validator)


async def credential_for(request: Request, need: Need) -> Credential:
    """The request's credential.

    Raises Unauthorized, InvalidToken, ClockBehind, DatabaseAway, need.refusal.
    """
    try:
        credential = await credential_if_given(request)
    except InvalidToken as problem:
        if not need.revoked:
            raise
        credential = request.found_credential = _revoked_hook(request, problem)
    if credential is None:
        raise Unauthorized()
    _check_need(request, credential, need)
    return credential


async def check_again(request: Request) -> None:
    """Look the credential up once more, after a wait in which it may have been revoked.

    Raises InvalidToken, ClockBehind, DatabaseAway.
    """
    request.found_credential = None
    await credential_if_given(request)


async def check_after_body(request: Request) -> None:
    """Look the credential up once more if any was revoked while the body was awaited.

    A client may take the body's timeout to send it. Raises like `check_again`.
    """
    if request.found_credential is None or request.credential_problem is not None:
        return  # there is none, or a revoked one that the route admits
    if request.revoked_count != request.services.credentials.revoked_count:
        await check_again(request)


async def credential_if_given(request: Request) -> Credential | None:
    """The request's credential, or None if it has none.

    It is looked up once a request: a rate limit may ask before the route does.
    Raises InvalidToken, ClockBehind, DatabaseAway.
    """
    if request.credential_problem is not None:
        raise request.credential_problem
    if request.found_credential is None:
        try:
            token = presented_token(request)
            if token is not None:
                store = request.services.credentials
                request.revoked_count = store.revoked_count
                credential = await store.authenticate(token, time.time())
                request.found_credential = _log_user(credential)
        except Problem as problem:
            request.credential_problem = problem
            raise
    return request.found_credential


async def authenticate_viewer(request: Request) -> Credential:
    """The credential of a stream's reader: a bearer token, else `?ticket=`, else the cookie.

    Raises like `credential_for`.
    """
    ticket = request.args.get("ticket")
    if ticket is None or "Authorization" in request.headers:
        return await credential_for(request, WATCHER)

    def comes_from(page: str) -> bool:
        """Whether this page sent the request. Relay's own page sends no Origin with a GET."""
        if request.origin is None:
            return request.services.origins.is_own(page) and _is_own_page(request)
        return request.origin == page

    credential = _log_user(await request.services.credentials.redeem_ticket(ticket, comes_from))
    _check_need(request, credential, WATCHER)
    return credential


def presented_token(request: Request) -> str | None:
    """The request's bearer token, or its session cookie if Relay's own page sent it.

    Raises Unauthorized for an Authorization header of another scheme, InvalidToken for a
    malformed bearer token.
    """
    authorization = request.headers.get("Authorization")
    if authorization is not None:
        return parse_bearer(authorization)
    if not _is_own_page(request):
        return None
    return request.cookies.get(cookie_name(request.services.secure))


def parse_bearer(authorization: str) -> str:
    """The token of an Authorization header. Raises like `presented_token`."""
    carrier = SimpleNamespace(headers={"Authorization": authorization})
    try:
        if not authorization.isascii():  # Authlib splits at two latin-1 characters, too
            raise UnsupportedTokenTypeError()
        token: str = _protector.parse_request_authorization(carrier)[1]
    except OAuth2Error:
        scheme, _, _ = authorization.partition(" ")
        if scheme.lower() == "bearer":
            detail = "Authorization must be `Bearer <token>`."
            raise InvalidToken(detail, reason="malformed") from None
        raise Unauthorized("Authorization must be `Bearer <token>`.") from None
    return token.rstrip()


def cookie_name(secure: bool) -> str:
    """The session cookie's name. `__Host-` keeps sibling hosts from setting it (RFC 6265bis)."""
    return "__Host-relay_session" if secure else "relay_session"


def is_from_cookie(request: Request) -> bool:
    """Whether the credential that was looked up came in the cookie. Tickets are not looked up."""
    looked_up = request.found_credential is not None or request.credential_problem is not None
    return looked_up and "Authorization" not in request.headers


def refuse_foreign_origin(request: Request, *, for_stream: bool = False) -> None:
    """Refuse requests of pages with an Origin that is not allowed. Raises ForeignOrigin.

    Safe methods are refused only with `for_stream`, for streams. Other answers to safe methods are
    protected by the browser, which reads the CORS headers.
    """
    is_checked = for_stream or request.method not in SAFE_METHODS
    if (
        is_checked
        and request.origin is not None
        and not request.services.origins.allows(request.origin)
    ):
        raise ForeignOrigin()


def _check_need(request: Request, credential: Credential, need: Need) -> None:
    try:
        _validator.validate_token(credential, need.scopes, request)
    except InsufficientScopeError:
        raise need.refusal(credential.kind) from None
    except OAuth2Error:
        raise InvalidToken("The credential has expired.", reason="expired") from None


def _is_own_page(request: Request) -> bool:
    """Whether Relay's own page sent the request: the cookie is ignored for all others."""
    if request.origin is not None:
        return request.services.origins.is_own(request.origin)
    return (
        not isinstance(request, WebSocketRequest)
        and request.method in SAFE_METHODS
        and request.headers.get("Sec-Fetch-Site") == "same-origin"
    )


def _revoked_hook(request: Request, problem: InvalidToken) -> Credential:
    """The credential of a hook token that is revoked, and valid otherwise.

    Raises the problem for any other token.
    """
    token = presented_token(request)
    if problem.reason != "revoked" or token is None:
        raise problem
    claims = request.services.credentials.keyring.verify(token)
    if claims.kind is not Kind.HOOK:
        raise problem
    ends_at = claims.expires_at
    return _log_user(
        Credential(claims.user_id, claims.id, claims.kind, claims.scopes, ends_at, ends_at)
    )


def _log_user(credential: Credential) -> Credential:
    """Add the user to the request's later log lines."""
    extend_log_context(user_id=credential.user_id, token_id=credential.id)
    return credential
