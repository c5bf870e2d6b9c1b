"""Descriptions of response headers."""

from typing import Any

from relay.schema_types import Examples
from relay.server.request_id import REQUEST_ID_PATTERN

REQUEST_ID = "X-Request-ID"

HEADERS: dict[str, tuple[str, dict[str, Any], Any]] = {
    REQUEST_ID: (
        "The request's own if it is well-formed, else a new one; also in problems and the log.",
        {"type": "string", "pattern": f"^{REQUEST_ID_PATTERN}$"},
        Examples.REQUEST,
    ),
    "Retry-After": ("Seconds to wait before trying again.", {"type": "integer"}, 1),
    "WWW-Authenticate": (
        "The challenge of RFC 6750; without an error code when no credential was sent.",
        {"type": "string"},
        'Bearer realm="relay"',
    ),
    "Set-Cookie": (
        "The session, HttpOnly. Not sent to pages of other origins.",
        {"type": "string"},
        "relay_session=eyJ…; HttpOnly; Path=/; SameSite=Lax",
    ),
    "ETag": ("Send it back as If-None-Match.", {"type": "string"}, '"d41d8cd98f00b204e9800998"'),
    "Cache-Control": ("Whether caches may store the answer.", {"type": "string"}, "no-store"),
    "Location": ("The address to go on to.", {"type": "string"}, "/install/…"),
    "RateLimit-Limit": ("Requests allowed in the window.", {"type": "integer"}, 60),
    "RateLimit-Remaining": ("Requests left.", {"type": "integer"}, 59),
    "RateLimit-Reset": (
        "Seconds until the whole limit is available again.",
        {"type": "integer"},
        1,
    ),
}

RATE_LIMIT = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")


def header_refs(*names: str) -> dict[str, Any]:
    """References to these headers, by name."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in dict.fromkeys(names)}


def header_object(name: str) -> dict[str, Any]:
    """The header's object in `components`."""
    description, schema, example = HEADERS[name]
    return {"description": description, "schema": schema, "example": example}
