"""What a 401 or 403 tells a client to do about it (RFC 6750, section 3), written by Authlib."""

from authlib.oauth2.rfc6750 import InsufficientScopeError, InvalidTokenError

from relay.errors import Forbidden, InsufficientScope, InvalidToken, Problem, Unauthorized

REALM = "relay"


def challenge(problem: Problem) -> str | None:
    """The WWW-Authenticate header, where one is due; no error code when nothing was sent."""
    if isinstance(problem, InsufficientScope):
        scope = {} if problem.scope is None else {"scope": problem.scope}
        return _bearer(InsufficientScopeError.error, problem.detail, **scope)
    if isinstance(problem, InvalidToken):
        return _bearer(InvalidTokenError.error, problem.detail)
    if isinstance(problem, (Unauthorized, Forbidden)):
        return f'Bearer realm="{REALM}"'
    return None


def _bearer(error: str, description: str, **attributes: str) -> str:
    """Authlib's 403 class offers no header of its own, so its 401 class writes both."""
    refusal = InvalidTokenError(
        description=description.replace("\\", "").replace('"', "'"),
        realm=REALM,
        extra_attributes=attributes,
    )
    refusal.error = error
    return str(dict(refusal.get_headers())["WWW-Authenticate"])
