"""Create anonymous users, and describe the current one."""

import msgspec
from quart import Blueprint

from relay.auth.tokens import MAX_ACTIVE_TOKENS, Scope
from relay.auth.users import make_user
from relay.db.tokens import select_tokens
from relay.db.users import select_user
from relay.errors import (
    ClockBehind,
    DatabaseAway,
    Forbidden,
    InvalidToken,
    SessionRequired,
    Unauthorized,
    UserGone,
)
from relay.events import optional_rfc3339, rfc3339
from relay.schema_types import CursorText, Examples, Moment, Uuid
from relay.web.answers import Answer, json_answer
from relay.web.auth import credential_if_given
from relay.web.cookies import set_cookie
from relay.web.needs import NOTHING, SESSION
from relay.web.openapi.describe import described
from relay.web.rate_limits import READS, SIGNUPS, limited
from relay.web.request import HTTPRequest
from relay.web.routes import needs
from relay.web.sessions import KnownSession, NewSession, known_session

users = Blueprint("users", __name__)


class TokenInfo(msgspec.Struct):
    """An active hook token. `last_used_at` is accurate to a minute."""

    token_id: Uuid
    name: str | None
    scopes: list[Scope]
    created_at: Moment
    expires_at: Moment
    last_used_at: Moment | None


class Me(msgspec.Struct):
    """The user, the end of their stream, how many streams are live, and the active tokens."""

    user_id: Uuid
    created_at: Moment
    cursor: CursorText
    connections: int
    tokens: list[TokenInfo]


class SignupClosed(Forbidden):
    code, title = "signup_closed", "Signup closed"
    hint = "Only the operator creates users here (`relay user create`)."


@users.post("/api/user")
@described(
    "users",
    security=("", "session", "cookie"),
    answers={
        201: NewSession(Examples.USER, Examples.SESSION, Examples.LATER),
        200: KnownSession(Examples.USER, Examples.LATER),
    },
    headers={201: ("Set-Cookie",)},
    refuses=(
        *(Unauthorized, InvalidToken, SessionRequired, SignupClosed, ClockBehind, DatabaseAway),
    ),
)
@limited(SIGNUPS)
@needs(NOTHING)
async def create_user(request: HTTPRequest) -> Answer:
    """Create an anonymous user.

    A request with a session creates none, and is answered with the session's user.
    """
    credential = await credential_if_given(request)
    if credential is not None:
        return json_answer(known_session(credential))
    services = request.services
    if not services.settings.open_signup:
        raise SignupClosed()
    user_id, token, expires_at = await make_user(services.database, services.credentials.keyring)
    made = NewSession(str(user_id), token, rfc3339(expires_at))
    return json_answer(made, 201, set_cookie(request, token))


@users.get("/api/me")
@described(
    "users",
    answers={
        200: Me(
            Examples.USER,
            created_at=Examples.NOW,
            cursor=Examples.CURSOR,
            connections=1,
            tokens=[
                TokenInfo(
                    Examples.TOKEN_ID,
                    name="laptop",
                    scopes=[Scope.WEBHOOK],
                    created_at=Examples.NOW,
                    expires_at=Examples.LATER,
                    last_used_at=None,
                )
            ],
        )
    },
)
@limited(READS)
@needs(SESSION)
async def me(request: HTTPRequest) -> Answer:
    """Describe the current user: the stream's end, and the active tokens."""
    services, user_id = request.services, request.credential.user_id
    services.backplane.look_for_watchers(user_id)
    user = await select_user(services.database, user_id)
    if user is None:
        raise UserGone()
    tokens = await select_tokens(services.database, user_id, MAX_ACTIVE_TOKENS)
    return json_answer(
        Me(
            user_id=str(user.user_id),
            created_at=rfc3339(user.created_at),
            cursor=f"{user.epoch}.{user.last_seq}",
            connections=services.watchers(user_id),
            tokens=[
                TokenInfo(
                    token_id=str(token.token_id),
                    name=token.name,
                    scopes=[Scope(scope) for scope in token.scopes],
                    created_at=rfc3339(token.created_at),
                    expires_at=rfc3339(token.expires_at),
                    last_used_at=optional_rfc3339(token.last_used_at),
                )
                for token in tokens
            ],
        )
    )
