"""What a listed page may read (CORS). `Origins` judges, quart-cors writes the headers.

Never `*`, and never `Access-Control-Allow-Credentials`: across origins a page brings a bearer or
a ticket, and a cookie counts for nothing.
"""

from collections.abc import Iterable

from quart import Quart, Response, request
from quart_cors import route_cors

from relay.auth.origins import Listed

METHODS = ("GET", "HEAD", "POST", "DELETE")
SENT = (
    *("Authorization", "Content-Type", "Last-Event-ID", "X-Request-ID"),
    *("webhook-id", "webhook-timestamp", "webhook-signature"),
)
READABLE = (
    *("X-Request-ID", "Retry-After", "WWW-Authenticate"),
    *("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"),
)
MAX_AGE = 7200  # seconds a preflight's answer is kept: the most that Chromium grants


def let_listed_pages_read(app: Quart, listed: Listed) -> None:
    """Every answer of the app, refusals included, is readable by the pages listed."""

    @route_cors(
        allow_origin=listed.rules,
        allow_methods=METHODS,
        allow_headers=SENT,
        expose_headers=READABLE,
        max_age=MAX_AGE,
        provide_automatic_options=False,
    )
    async def readable(response: Response) -> Response:
        return response

    async def answered(response: Response) -> Response:
        if request.headers.get("Origin", "") in listed:
            return await readable(response)
        response.vary.add("Origin")  # a cache must not hand this to a page that is listed
        return response

    if listed.rules:
        app.after_request(answered)


def readable_refusal(
    listed: Listed, headers: Iterable[tuple[bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    """The same for an answer that is not the app's, to a request with these headers."""
    if not listed.rules:
        return []
    origins = [value.decode("latin-1") for name, value in headers if name == b"origin"]
    if len(origins) != 1 or origins[0] not in listed:
        return [(b"vary", b"Origin")]
    return [
        (b"access-control-allow-origin", origins[0].encode()),
        (b"access-control-expose-headers", ", ".join(READABLE).encode()),
        (b"vary", b"Origin"),
    ]
