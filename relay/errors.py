"""Every way Relay says no, as one tree (RFC 9457).

    Problem
    ├── BadRequest 400            malformed JSON, cursor, header
    │   └── BadCursor
    ├── Unauthorized 401          no credential was sent
    │   └── InvalidToken          one was sent and does not count
    ├── Forbidden 403
    │   ├── InsufficientScope
    │   │   └── SessionRequired
    │   └── ForeignOrigin
    ├── NotFound 404
    ├── MethodNotAllowed 405
    ├── RequestTimeout 408        the body came too slowly
    ├── PayloadTooLarge 413
    ├── UnsupportedMediaType 415
    ├── Invalid 422               readable, but a field is not what it must be
    ├── TooManyConnections 429
    ├── RateLimited 429
    ├── Internal 500
    └── Unavailable 503
        ├── ProcessFull
        ├── DatabaseAway
        ├── JournalFull
        ├── DiskFull
        └── Draining

A problem carries its status, a stable `code` that programs may compare, a title that never
changes and a detail that says what to fix. It never carries a payload, a token or a query.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

MEDIA_TYPE = "application/problem+json"


class FieldError(msgspec.Struct, frozen=True):
    """One thing wrong with the input: `where` it stands and what is the matter."""

    where: str
    message: str


MAX_NAME = 32  # characters of a strange name that are repeated; no secret of ours is as short


def named(name: str) -> str:
    """A name that a stranger chose, fit for an answer: ASCII, one line, and no token.

    A secret may stand where a field's name should; of a long one only the beginning is repeated.
    """
    text = name.encode("ascii", "backslashreplace").decode()
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= MAX_NAME else text[:8] + "..."


class ProblemDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every refusal (RFC 9457, with `code`, `request_id` and `errors`)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: tuple[FieldError, ...] = ()


class Problem(Exception):
    """A refusal that is rendered as a problem document."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"
    hint: ClassVar[str] = "Something failed on our side; the request id finds it in the log."

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.detail = detail or self.hint
        self.errors = tuple(errors)
        self.headers: dict[str, str] = dict(headers or {})
        super().__init__(self.detail)

    def document(self, request_id: str) -> bytes:
        """The problem as JSON bytes."""
        return msgspec.json.encode(
            ProblemDocument(
                type=f"urn:relay:problem:{self.code}",
                title=self.title,
                status=self.status,
                detail=self.detail,
                code=self.code,
                request_id=request_id,
                errors=self.errors,
            )
        )


class BadRequest(Problem):
    status, code, title = 400, "bad_request", "Bad request"
    hint = "The request is malformed."


class BadCursor(BadRequest):
    code, title = "bad_cursor", "Malformed cursor"
    hint = "A cursor is `<epoch>.<seq>` as sent by Relay, or `oldest`."


class Unauthorized(Problem):
    """No credential was sent: the challenge names no error (RFC 6750, section 3.1)."""

    status, code, title = 401, "unauthorized", "Credential required"
    hint = "Send `Authorization: Bearer <token>`."


class InvalidToken(Unauthorized):
    """A credential was sent and is broken, expired, revoked or spent."""

    code, title = "invalid_token", "Credential refused"
    hint = "The credential is broken, expired or revoked; get a new one."

    def __init__(self, detail: str | None = None, *, reason: str = "invalid") -> None:
        super().__init__(detail)
        self.reason = reason  # for the metric: a word of a closed list, never the token


class Forbidden(Problem):
    status, code, title = 403, "forbidden", "Not allowed"
    hint = "This credential may not do that."


class InsufficientScope(Forbidden):
    code, title = "insufficient_scope", "Scope missing"

    def __init__(self, detail: str, *, scope: str | None) -> None:
        super().__init__(detail)
        self.scope = scope


class SessionRequired(InsufficientScope):
    """A hook token came where only a person's session counts."""

    def __init__(self, detail: str | None = None) -> None:
        hint = "This takes a session; a hook token publishes and watches only."
        super().__init__(detail or hint, scope=None)


class ForeignOrigin(Forbidden):
    code, title = "foreign_origin", "Origin not allowed"
    hint = "This Origin is neither Relay's own nor listed in CORS."


class NotFound(Problem):
    status, code, title = 404, "not_found", "Not found"
    hint = "There is nothing here."


class MethodNotAllowed(Problem):
    status, code, title = 405, "method_not_allowed", "Method not allowed"
    hint = "This address does not answer that method; see the Allow header."


class RequestTimeout(Problem):
    status, code, title = 408, "request_timeout", "Request too slow"
    hint = "The body did not arrive in time."


class PayloadTooLarge(Problem):
    status, code, title = 413, "payload_too_large", "Too large"
    hint = "The body is too large."


class UnsupportedMediaType(Problem):
    status, code, title = 415, "unsupported_media_type", "Unsupported media type"
    hint = "Send `Content-Type: application/json`, without a Content-Encoding."


class Invalid(Problem):
    status, code, title = 422, "invalid", "Invalid input"
    hint = "Some fields are not what they must be."


class TooManyConnections(Problem):
    status, code, title = 429, "too_many_connections", "Too many connections"
    hint = "This user or address has as many live streams as it may have."

    def __init__(self, detail: str | None = None, *, retry_after: int = 10) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class RateLimited(Problem):
    status, code, title = 429, "rate_limited", "Too fast"
    hint = "This comes more often than it may; try again later."

    def __init__(self, detail: str | None = None, *, retry_after: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class Internal(Problem):
    pass


class Unavailable(Problem):
    status, code, title = 503, "unavailable", "Unavailable"
    hint = "Relay cannot take this now; try again."

    def __init__(self, detail: str | None = None, *, retry_after: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class ProcessFull(Unavailable):
    code, title = "process_full", "Too many streams"
    hint = "This process has as many live streams as it may have."

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, retry_after=10)


class DatabaseAway(Unavailable):
    code, title = "database_away", "Database away"
    hint = "The database does not answer; try again, an event with the same event_id."


class JournalFull(Unavailable):
    code, title = "journal_full", "Too much waiting"
    hint = "More events wait for their commit than the bound allows; try again."


class DiskFull(Unavailable):
    code, title = "disk_full", "Disk full"
    hint = "The disk under the database is nearly full; nothing was stored."

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, retry_after=30)


class Draining(Unavailable):
    code, title = "draining", "Restarting"
    hint = "This process is stopping; try again, another takes over."
