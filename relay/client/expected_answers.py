"""The fields by which the answers of Relay's API are recognized. Answers may have further ones."""

import msgspec


class EventReceipt(msgspec.Struct):
    """One event is stored, now or before."""

    id: str
    seq: int
    duplicate: bool


class BatchReceipt(msgspec.Struct):
    """A batch is stored. Each event counts as accepted or as a duplicate."""

    accepted: int
    duplicates: int
    first_seq: int | None
    last_seq: int | None


class NewUser(msgspec.Struct):
    user_id: str
    session_token: str


class Token(msgspec.Struct):
    token_id: str
    name: str | None
    scopes: list[str]
    created_at: str
    expires_at: str
    last_used_at: str | None


class Me(msgspec.Struct):
    user_id: str
    tokens: list[Token]


class NewToken(msgspec.Struct):
    token: str
    token_id: str


class Page(msgspec.Struct):
    events: msgspec.Raw
    cursor: str


class NewLink(msgspec.Struct):
    link: str
    expires_in: int


class OpenedLink(msgspec.Struct):
    """With `session_token` unless the browser or machine is signed in as this user already."""

    user_id: str
    session_token: str | None = None


class Done(msgspec.Struct):
    ok: bool


class EndedSessions(msgspec.Struct):
    ended: int


EXPECTED: dict[tuple[str, str], type[msgspec.Struct]] = {
    ("POST", "/api/user"): NewUser,
    ("GET", "/api/me"): Me,
    ("POST", "/api/token"): NewToken,
    ("POST", "/api/token/revoke"): Done,
    ("GET", "/api/events"): Page,
    ("POST", "/api/session/link"): NewLink,
    ("POST", "/api/session/link/redeem"): OpenedLink,
    ("DELETE", "/api/session/others"): EndedSessions,
}
