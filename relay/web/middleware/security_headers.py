"""Middleware that adds the headers which restrict what browsers do with a response.

A `text/html` response gets `PAGE`, every other response `DATA`. No route sets
these headers itself.
"""

from typing import Any

from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

Headers = tuple[tuple[bytes, bytes], ...]

_ALWAYS: Headers = (
    (b"x-content-type-options", b"nosniff"),
    # a URL may contain a ticket
    (b"referrer-policy", b"no-referrer"),
    # other sites must not embed responses as images or scripts; this does not affect CORS requests
    (b"cross-origin-resource-policy", b"same-origin"),
)

# no inline code and no other hosts; `data:` is for the favicon, which shows counts
_PAGE_CSP = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    b"frame-ancestors 'none'"
)
_UNNEEDED = (
    *("accelerometer", "camera", "display-capture", "geolocation", "gyroscope"),
    *("hid", "magnetometer", "microphone", "midi", "payment", "screen-wake-lock", "serial", "usb"),
)  # fmt: skip

PAGE: Headers = (
    *_ALWAYS,
    (b"content-security-policy", _PAGE_CSP),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", ", ".join(f"{name}=()" for name in _UNNEEDED).encode()),
)
DATA: Headers = (
    *_ALWAYS,
    # opened as a page, it shows and runs nothing
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
# a year, without includeSubDomains: other services may be below this host
HSTS: Headers = ((b"strict-transport-security", b"max-age=31536000"),)

_STARTS = frozenset({"http.response.start", "websocket.http.response.start"})


def security_headers(*, page: bool, secure: bool) -> Headers:
    """The headers of a page or of any other response; `secure`: clients use https."""
    return (PAGE if page else DATA) + (HSTS if secure else ())


class SecurityHeaders:
    """The middleware; `secure` is as in `security_headers`."""

    def __init__(self, app: ASGIFramework, *, secure: bool) -> None:
        self._app = app
        self._page = security_headers(page=True, secure=secure)
        self._data = security_headers(page=False, secure=secure)

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        async def restricting_send(message: Any) -> None:
            if message["type"] in _STARTS:
                headers = message.get("headers", ())
                message["headers"] = [*headers, *(self._page if _is_page(headers) else self._data)]
            await send(message)

        await self._app(scope, receive, restricting_send)


def _is_page(headers: Any) -> bool:
    for name, value in headers:
        if name == b"content-type":
            return bool(value.startswith(b"text/html"))
    return False
