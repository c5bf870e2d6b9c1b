"""The session's cookie: where it is set and taken away, and for whom."""

from quart import Response, request

from relay.auth.tokens import MAX_LIFETIME
from relay.web.auth import cookie_name
from relay.web.context import services


def keeps_cookies() -> bool:
    """Relay's own page does, and a client that is no page at all; no page elsewhere."""
    origin = request.headers.get("Origin")
    return origin is None or services().origins.is_own(origin)


def set_cookie(response: Response, token: str) -> None:
    now = services()
    if keeps_cookies():
        response.set_cookie(
            cookie_name(now.secure),
            token,
            max_age=MAX_LIFETIME,
            path="/",
            secure=now.secure,
            httponly=True,
            samesite="Lax",
        )


def delete_cookie(response: Response) -> None:
    now = services()
    response.delete_cookie(
        cookie_name(now.secure), path="/", secure=now.secure, httponly=True, samesite="Lax"
    )
