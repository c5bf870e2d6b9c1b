"""All problems that Relay answers with, as one tree (RFC 9457).

    Problem
    ├── BadRequest 400            malformed JSON, cursor, header
    │   └── BadCursor
    ├── Unauthorized 401          no credential was sent
    │   └── InvalidToken          one was sent and is refused
    │       ├── UserGone
    │       └── SessionEnded
    ├── Forbidden 403
    │   ├── InsufficientScope
    │   │   └── SessionRequired
    │   └── ForeignOrigin
    ├── NotFound 404
    ├── MethodNotAllowed 405
    ├── RequestTimeout 408        the body came too slowly
    ├── PayloadTooLarge 413
    ├── UnsupportedMediaType 415
    ├── Invalid 422               valid JSON with an invalid field
    ├── TooManyConnections 429
    ├── RateLimited 429
    ├── Internal 500
    └── Unavailable 503
        ├── ProcessFull
        ├── ClockBehind
        ├── DatabaseAway
        ├── JournalFull
        ├── DiskFull
        ├── PushKeysSealed
        └── Draining

A problem has a status, a stable `code` that programs may compare, a constant title, and a detail
that explains what to fix. It never contains a payload, a token or a query.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """One fault of the input: the field, and what is wrong with it."""

    where: str
    message: str


MAX_NAME_CHARACTERS = 32  # of an unknown name that an answer repeats; our secrets are longer


def safe_name(name: str) -> str:
    """Make a name from the input safe for an answer: printable ASCII, and no secret.

    A secret may have been sent in place of a field's name, so a long name is cut.
    """
    text = name.encode("ascii", "backslashreplace").decode()
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= MAX_NAME_CHARACTERS else text[:8] + "..."


class ProblemDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every error (RFC 9457, with `code`, `request_id` and `errors`)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: tuple[FieldError, ...] = ()


class Problem(Exception):
    """An error that is answered as a problem document."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"
    hint: ClassVar[str] = "Relay failed unexpectedly. The log has the cause under the request id."
    retry_after: ClassVar[int | None] = None  # seconds, of the header; the argument overrides it
    former_code: ClassVar[str | None] = None  # a renamed problem sends this for one more version

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        retry_after: int | None = None,
    ) -> None:
        self.detail = detail or self.hint
        self.errors = tuple(errors)
        self.headers: dict[str, str] = dict(headers or {})
        seconds = self.retry_after if retry_after is None else retry_after
        if seconds is not None:
            self.headers["Retry-After"] = str(seconds)
        super().__init__(self.detail)

    @classmethod
    def sent_code(cls) -> str:
        """The document's `code`: the former one, as long as clients may know no other."""
        return cls.former_code or cls.code

    def document(self, request_id: str) -> bytes:
        """The problem as JSON bytes."""
        return msgspec.json.encode(
            ProblemDocument(
                type=f"urn:relay:problem:{self.code}",
                title=self.title,
                status=self.status,
                detail=self.detail,
                code=self.sent_code(),
                request_id=request_id,
                errors=self.errors,
            )
        )


class BadRequest(Problem):
    status, code, title = 400, "bad_request", "Bad request"
    hint = "The request is malformed."


class BadCursor(BadRequest):
    code, title = "bad_cursor", "Malformed cursor"
    hint = "A cursor must be `<epoch>.<seq>` as sent by Relay, or `oldest`."


class Unauthorized(Problem):
    """No credential was sent. The challenge has no error code (RFC 6750, section 3.1)."""

    status, code, title = 401, "unauthorized", "Credential required"
    hint = "Send `Authorization: Bearer <token>`."


class InvalidToken(Unauthorized):
    """A credential was sent that is malformed, expired, revoked or spent."""

    code, title = "invalid_token", "Credential refused"
    hint = "The credential is malformed, expired or revoked. Get a new one."
    reason = "invalid"  # a label of the metric, from a closed list

    def __init__(self, detail: str | None = None, *, reason: str | None = None) -> None:
        super().__init__(detail)
        self.reason = reason or self.reason


class UserGone(InvalidToken):
    hint, reason = "The user was deleted.", "revoked"


class SessionEnded(InvalidToken):
    hint, reason = "The session has ended.", "revoked"


class Forbidden(Problem):
    status, code, title = 403, "forbidden", "Not allowed"
    hint = "This credential does not permit that."


class InsufficientScope(Forbidden):
    code, title = "insufficient_scope", "Scope missing"
    hint = "This credential does not permit that. Use one with the scope that this call needs."

    def __init__(self, detail: str | None = None, *, scope: str | None = None) -> None:
        super().__init__(detail)
        self.scope = scope


class SessionRequired(InsufficientScope):
    """A hook token was sent where a user's session is needed."""

    hint = "This needs a session. A hook token can only publish and watch."


class ForeignOrigin(Forbidden):
    code, title = "foreign_origin", "Origin not allowed"
    hint = "This Origin is neither Relay's own nor listed in the setting CORS."


class NotFound(Problem):
    status, code, title = 404, "not_found", "Not found"
    hint = "This address does not exist."


class MethodNotAllowed(Problem):
    status, code, title = 405, "method_not_allowed", "Method not allowed"
    hint = "This address does not support that method. The Allow header lists those it does."


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
    hint = "Some fields are invalid."

    def __init__(self, detail: str | None = None, *, errors: Sequence[FieldError]) -> None:
        super().__init__(detail, errors=errors)

    @classmethod
    def of(cls, field: str, message: str) -> Self:
        """The problem of one field."""
        return cls(errors=[FieldError(field, message)])


class TooManyConnections(Problem):
    status, code, title = 429, "too_many_connections", "Too many connections"
    hint = "This user or address has reached its limit of live streams or downloads."
    retry_after = 10


class RateLimited(Problem):
    status, code, title = 429, "rate_limited", "Too many requests"
    hint = "Too many requests. Wait for the seconds in Retry-After."
    retry_after = 1


class Internal(Problem):
    pass


class Unavailable(Problem):
    status, code, title = 503, "unavailable", "Unavailable"
    hint = "Relay cannot do this now. Try again."
    retry_after = 1


class ProcessFull(Unavailable):
    code, title = "process_full", "Process full"
    hint = "This process has reached its limit of live streams or downloads."
    retry_after = 10


class ClockBehind(Unavailable):
    """A credential comes from the future: no InvalidToken, for which clients give it up."""

    code, title = "clock_behind", "Clock behind"
    hint = "Relay's clock is more than a day behind: this credential was issued later. Try again."
    retry_after = 10


class DatabaseAway(Unavailable):
    code, title = "database_away", "Database unreachable"
    hint = "The database does not answer. Try again; send an event with the same event_id."


class JournalFull(Unavailable):
    code, title = "journal_full", "Journal full"
    hint = "Too many events are waiting to be stored. Try again."


class DiskFull(Unavailable):
    code, title = "disk_full", "Disk full"
    hint = "The database's disk is nearly full. Nothing was stored."
    retry_after = 30


class PushKeysSealed(Unavailable):
    code, title = "push_keys_sealed", "Keys of Web Push sealed"
    hint = "The keys of Web Push are sealed with a signing key that this process does not have."
    retry_after = 30


class Draining(Unavailable):
    code, title = "draining", "Restarting"
    hint = "This process is stopping. Try again; another one takes over."
