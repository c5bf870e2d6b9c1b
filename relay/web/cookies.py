"""Set and delete the session cookie."""

from werkzeug.http import dump_cookie

from relay.auth.tokens import MAX_LIFETIME_SECONDS
from relay.web.auth import cookie_name
from relay.web.request import Request

Header = tuple[bytes, bytes]


def keeps_cookies(request: Request) -> bool:
    """Whether to send cookies: to Relay's own page and to programs, not to other pages."""
    return request.origin is None or request.services.origins.is_own(request.origin)


def set_cookie(request: Request, token: str) -> list[Header]:
    """The Set-Cookie header of a new session; none where the client gets no cookies."""
    return [_header(request, token, MAX_LIFETIME_SECONDS)] if keeps_cookies(request) else []


def delete_cookie(request: Request) -> Header:
    """The Set-Cookie header that deletes the session cookie."""
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
