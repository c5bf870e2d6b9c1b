"""Middleware that adds the headers which restrict what browsers do with a response.

A `text/html` response gets `PAGE_HEADERS`, the service worker `WORKER_HEADERS`, every other
response `DATA_HEADERS`. No route sets these headers itself.
"""

from typing import Any

from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

Headers = tuple[tuple[bytes, bytes], ...]

_COMMON_HEADERS: Headers = (
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
_DISABLED_FEATURES = (
    *("accelerometer", "camera", "display-capture", "geolocation", "gyroscope"),
    *("hid", "magnetometer", "microphone", "midi", "payment", "screen-wake-lock", "serial", "usb"),
)  # fmt: skip

PAGE_HEADERS: Headers = (
    *_COMMON_HEADERS,
    (b"content-security-policy", _PAGE_CSP),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", ", ".join(f"{name}=()" for name in _DISABLED_FEATURES).encode()),
)
DATA_HEADERS: Headers = (
    *_COMMON_HEADERS,
    # opened as a page, it shows and runs nothing
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
# a worker goes by the policy of its own script: it calls the API, and shows icons in notifications
WORKER_HEADERS: Headers = (
    *_COMMON_HEADERS,
    (
        b"content-security-policy",
        b"default-src 'none'; connect-src 'self'; img-src 'self'; frame-ancestors 'none'",
    ),
)
# a year, without includeSubDomains: other services may be below this host
HSTS_HEADERS: Headers = ((b"strict-transport-security", b"max-age=31536000"),)

SERVICE_WORKER_PATH = "/service-worker.js"

_START_MESSAGES = frozenset({"http.response.start", "websocket.http.response.start"})


def security_headers(*, page: bool, secure: bool) -> Headers:
    """The headers of a page or of any other response; `secure`: clients use https."""
    return (PAGE_HEADERS if page else DATA_HEADERS) + (HSTS_HEADERS if secure else ())


class SecurityHeaders:
    """The middleware; `secure` is as in `security_headers`."""

    def __init__(self, app: ASGIFramework, *, secure: bool) -> None:
        self._app = app
        self._page = security_headers(page=True, secure=secure)
        self._data = security_headers(page=False, secure=secure)
        self._worker = WORKER_HEADERS + (HSTS_HEADERS if secure else ())

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        others = self._worker if scope.get("path") == SERVICE_WORKER_PATH else self._data

        async def send_with_headers(message: Any) -> None:
            if message["type"] in _START_MESSAGES:
                headers = message.get("headers", ())
                message["headers"] = [*headers, *(self._page if _is_page(headers) else others)]
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _is_page(headers: Any) -> bool:
    for name, value in headers:
        if name == b"content-type":
            return bool(value.startswith(b"text/html"))
    return False
