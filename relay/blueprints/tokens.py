"""Create and revoke hook tokens, with which producers publish."""

import time
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal
from uuid import UUID, uuid4

import msgspec
from msgspec import UNSET, Meta, UnsetType
from quart import Blueprint

from relay.auth.tokens import MAX_ACTIVE_TOKENS, MAX_LIFETIME_SECONDS, Claims, Kind, Scope
from relay.auth.webhook_signatures import BadSignature
from relay.db.tokens import insert_token, revoke_token
from relay.errors import Invalid, InvalidToken, NotFound, Problem, SessionRequired
from relay.events import parse_uuid
from relay.media_types import JSON
from relay.schema_types import Examples, Uuid
from relay.web.answers import Answer, json_answer
from relay.web.json import read_json
from relay.web.needs import ANY_OR_REVOKED, SESSION
from relay.web.openapi.describe import Link, described
from relay.web.rate_limits import TOKENS, limited
from relay.web.request import HTTPRequest
from relay.web.routes import needs
from relay.web.visible_text import VISIBLE_TEXT_PATTERN, find_control

tokens = Blueprint("tokens", __name__)

DEFAULT_LIFETIME_SECONDS = 90 * 86_400  # seconds: a forgotten token expires within a quarter


TokenName = Annotated[
    str,
    Meta(min_length=1, max_length=100, extra_json_schema={"pattern": VISIBLE_TEXT_PATTERN}),
]
Lifetime = Annotated[
    int,
    Meta(ge=1, le=MAX_LIFETIME_SECONDS, description="Seconds, written without a fraction."),
]


class NewToken(msgspec.Struct, forbid_unknown_fields=True):
    """The new token's properties, all optional. `expires_in` is in seconds."""

    name: TokenName | None = None
    expires_in: Lifetime | None = None
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=3)] | None = None
    signed: bool = False


class MadeToken(msgspec.Struct, omit_defaults=True):
    """The token, shown only once. `exp` is in seconds since 1970."""

    token: str
    token_id: Uuid
    user_id: Uuid
    type: Literal["hook"]
    scopes: list[Scope]
    exp: int
    signing_secret: str | None = None


class TokenToRevoke(msgspec.Struct, forbid_unknown_fields=True):
    """The token, by its id or by itself."""

    SCHEMA: ClassVar = {
        # the properties stand here too, because `required` names those of its own schema
        "not": {"required": ["token_id", "token"], "properties": {"token_id": {}, "token": {}}}
    }

    token_id: Uuid | UnsetType = UNSET
    token: str | UnsetType = UNSET


class Done(msgspec.Struct):
    """The token is revoked, now or already."""

    ok: bool = True


class NoSuchToken(NotFound):
    hint = "There is no such token. It may have been deleted, or belong to another user."


class TooManyTokens(Problem):
    status, code, title = 409, "too_many_tokens", "Too many tokens"
    hint = f"This user has {MAX_ACTIVE_TOKENS} active tokens. Revoke one first."


@tokens.post("/api/token")
@described(
    "tokens",
    body={JSON: NewToken("laptop", expires_in=86_400, scopes=[Scope.WEBHOOK])},
    body_optional=True,
    answers={
        201: MadeToken(
            Examples.HOOK,
            token_id=Examples.TOKEN_ID,
            user_id=Examples.USER,
            type="hook",
            scopes=[Scope.WEBHOOK],
            exp=1_769_947_200,
        )
    },
    refuses=(TooManyTokens,),
    links=(Link("revoke", body={"token_id": "token_id"}),),
)
@limited(TOKENS)
@needs(SESSION)
async def create_token(request: HTTPRequest) -> Answer:
    """Create a hook token for a producer."""
    wanted = await read_json(request, NewToken, optional=True)
    if (control := find_control(wanted.name or "")) is not None:
        raise Invalid.of("name", f"contains the control character {control}")
    services, user_id = request.services, request.credential.user_id
    keyring = services.credentials.keyring
    token_id = uuid4()
    scopes = tuple(dict.fromkeys(wanted.scopes or [Scope.WEBHOOK]))
    issued_at = int(time.time())
    expires_at = issued_at + (wanted.expires_in or DEFAULT_LIFETIME_SECONDS)
    inserted = await insert_token(
        services.database,
        token_id=token_id,
        user_id=user_id,
        name=wanted.name,
        scopes=[scope.value for scope in scopes],
        expires_at=datetime.fromtimestamp(expires_at, tz=UTC),
        signed=wanted.signed,
        kid=keyring.kid,
        at_most=MAX_ACTIVE_TOKENS,
    )
    if not inserted:
        raise TooManyTokens()
    claims = Claims(user_id, token_id, Kind.HOOK, scopes, issued_at, expires_at)
    return json_answer(
        MadeToken(
            token=keyring.issue(claims),
            token_id=str(token_id),
            user_id=str(user_id),
            type=Kind.HOOK.value,
            scopes=list(scopes),
            exp=expires_at,
            signing_secret=(
                keyring.signing_secret(token_id, keyring.kid) if wanted.signed else None
            ),
        ),
        201,
    )


@tokens.post("/api/token/revoke")
@described(
    "tokens",
    body={JSON: (TokenToRevoke(token_id=Examples.TOKEN_ID), TokenToRevoke(token=Examples.HOOK))},
    body_optional=True,
    answers={200: Done()},
    refuses=(BadSignature, SessionRequired, NoSuchToken),
)
@limited(TOKENS)
@needs(ANY_OR_REVOKED)
async def revoke(request: HTTPRequest) -> Answer:
    """Revoke a token.

    It can publish no more, and its streams close.
    """
    services, credential = request.services, request.credential
    revoked_id = _requested_id(request, await read_json(request, TokenToRevoke, optional=True))
    if credential.kind is Kind.HOOK and revoked_id != credential.id:
        raise SessionRequired("A hook token can revoke only itself.")
    if not await revoke_token(services.database, revoked_id, credential.user_id):
        raise NoSuchToken()
    services.credentials.end_everywhere(revoked_id)
    return json_answer(Done())


def _requested_id(request: HTTPRequest, body: TokenToRevoke) -> UUID:
    """The id of the token to revoke. Raises Invalid, NoSuchToken."""
    if body.token_id is not UNSET and body.token is not UNSET:
        raise Invalid.of("token", "is given beside token_id; send one of them")
    if body.token_id is not UNSET:
        if (token_id := parse_uuid(body.token_id)) is None:
            raise NoSuchToken()
        return token_id
    if body.token is not UNSET:
        try:
            return request.services.credentials.keyring.verify(body.token, allow_expired=True).id
        except InvalidToken:
            raise NoSuchToken() from None
    if request.credential.kind is Kind.HOOK:
        return request.credential.id
    raise Invalid.of("token_id", "is missing; so is token")
