"""The headers of answers, described once."""

from typing import Any

from relay.schema_types import Somebody

REQUEST_ID = "X-Request-ID"

HEADERS: dict[str, tuple[str, dict[str, Any], Any]] = {
    REQUEST_ID: (
        "Yours, if you sent a sane one, else a new one; it is in the log and in problems.",
        {"type": "string", "pattern": "^[A-Za-z0-9._:/+=@-]{1,128}$"},
        Somebody.REQUEST,
    ),
    "Retry-After": ("Seconds until it is worth trying again.", {"type": "integer"}, 1),
    "WWW-Authenticate": (
        "What to do about it (RFC 6750); no error code when no credential was sent.",
        {"type": "string"},
        'Bearer realm="relay"',
    ),
    "Set-Cookie": (
        "The session for Relay's own page, HttpOnly; not for pages elsewhere.",
        {"type": "string"},
        "relay_session=eyJ…; HttpOnly; Path=/; SameSite=Lax",
    ),
    "ETag": ("Send it back as If-None-Match.", {"type": "string"}, '"d41d8cd98f00b204e9800998"'),
    "Cache-Control": ("Who may keep the answer.", {"type": "string"}, "no-store"),
    "RateLimit-Limit": ("Requests allowed in the window.", {"type": "integer"}, 60),
    "RateLimit-Remaining": ("Requests left.", {"type": "integer"}, 59),
    "RateLimit-Reset": ("Seconds until all of them are.", {"type": "integer"}, 1),
}

RATE_LIMIT = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")


def refer(*names: str) -> dict[str, Any]:
    """References to these headers, by name, for an answer."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in dict.fromkeys(names)}


def header(name: str) -> dict[str, Any]:
    """The header's own object in the document's components."""
    says, schema, example = HEADERS[name]
    return {"description": says, "schema": schema, "example": example}
