"""The WWW-Authenticate header of a 401 or 403 (RFC 6750, section 3), formatted by Authlib."""

from authlib.oauth2.rfc6750 import InsufficientScopeError, InvalidTokenError

from relay.errors import Forbidden, InsufficientScope, InvalidToken, Problem, Unauthorized

REALM = "relay"


def challenge(problem: Problem) -> str | None:
    """The problem's WWW-Authenticate header; without an error if no credential was sent."""
    if isinstance(problem, InsufficientScope):
        scope = {} if problem.scope is None else {"scope": problem.scope}
        return _bearer(InsufficientScopeError.error, problem.detail, **scope)
    if isinstance(problem, InvalidToken):
        return _bearer(InvalidTokenError.error, problem.detail)
    if isinstance(problem, (Unauthorized, Forbidden)):
        return f'Bearer realm="{REALM}"'
    return None


def _bearer(error: str, description: str, **attributes: str) -> str:
    """Format with Authlib's 401 class: its 403 class formats no header."""
    refusal = InvalidTokenError(
        description=description.replace("\\", "").replace('"', "'"),
        realm=REALM,
        extra_attributes=attributes,
    )
    refusal.error = error
    return str(dict(refusal.get_headers())["WWW-Authenticate"])
