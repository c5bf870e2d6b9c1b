"""The session's cookie: where it is set and taken away, and for which pages."""

from werkzeug.http import dump_cookie

from relay.auth.tokens import MAX_LIFETIME
from relay.web.auth import cookie_name
from relay.web.request import Request

Header = tuple[bytes, bytes]


def keeps_cookies(request: Request) -> bool:
    """Relay's own page does, and a client that is no page at all; no page elsewhere."""
    return request.origin is None or request.services.origins.is_own(request.origin)


def set_cookie(request: Request, token: str) -> list[Header]:
    """The header that hands out a session, where the client keeps cookies."""
    return [_header(request, token, MAX_LIFETIME)] if keeps_cookies(request) else []


def delete_cookie(request: Request) -> Header:
    """The header that takes the session away."""
    return _header(request, "", 0)


def _header(request: Request, value: str, max_age: int) -> Header:
    secure = request.services.secure
    cookie = dump_cookie(
        cookie_name(secure),
        value,
        max_age=max_age,
        expires=0 if max_age == 0 else None,
        path="/",
        secure=secure,
        httponly=True,
        samesite="Lax",
    )
    return b"set-cookie", cookie.encode()
