"""Issue and verify Relay's tokens: JWTs (RFC 7519), HS256. The only file that knows joserfc.

The algorithm is fixed here and never read from a token; `kid` only chooses among our own keys,
so that keys rotate: the first signs, all verify.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Sequence
from enum import StrEnum
from uuid import UUID

import msgspec
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from relay.config.parsers import SigningKey
from relay.errors import InvalidToken
from relay.events import parse_uuid

ALGORITHM = "HS256"
_ONE_ALGORITHM = jws.JWSRegistry(algorithms=[ALGORITHM])
AUDIENCE = "relay"
TYPE = "JWT"
MAX_TOKEN = 4096  # characters: ours have about 400; longer ones are not worth a hash
MAX_LIFETIME = 400 * 86_400  # seconds: what browsers allow a cookie, and enough for a year's token
CLOCK_LEEWAY = 86_400  # seconds a clock may have been stepped since a token's lifetime was bounded


class Kind(StrEnum):
    SESSION = "session"
    HOOK = "hook"


class Scope(StrEnum):
    """A closed list. `webhook` is publish and watch."""

    WEBHOOK = "webhook"
    PUBLISH = "publish"
    WATCH = "watch"


class Claims(msgspec.Struct, frozen=True):
    """What a token holds. `id` is its own; times are in seconds since 1970."""

    user_id: UUID
    id: UUID
    kind: Kind
    scopes: tuple[Scope, ...]
    issued_at: int
    expires_at: int


class _Payload(msgspec.Struct):
    """The claims on the wire; a missing or mistyped one is refused."""

    iss: str
    aud: str
    sub: str
    jti: str
    type: Kind
    scopes: tuple[Scope, ...]
    iat: int
    exp: int


class Keyring:
    """The keys of one issuer."""

    def __init__(self, keys: Sequence[SigningKey], issuer: str) -> None:
        self.issuer = issuer
        self.kid = keys[0].kid
        self._secrets = {key.kid: key.secret for key in keys}
        self._keys = {key.kid: OctKey.import_key(key.secret) for key in keys}

    def issue(self, claims: Claims) -> str:
        """The claims as a token, signed with the first key."""
        payload = _Payload(
            iss=self.issuer,
            aud=AUDIENCE,
            sub=str(claims.user_id),
            jti=str(claims.id),
            type=claims.kind,
            scopes=claims.scopes,
            iat=claims.issued_at,
            exp=claims.expires_at,
        )
        header = {"alg": ALGORITHM, "typ": TYPE, "kid": self.kid}
        key = self._keys[self.kid]
        return jwt.encode(header, msgspec.to_builtins(payload), key, algorithms=[ALGORITHM])

    def issue_session(self, user_id: UUID, session_id: UUID) -> str:
        """The token of a session that the database has.

        It outlives the session's thirty days, because those slide: the database ends it.
        """
        now = int(time.time())
        claims = Claims(user_id, session_id, Kind.SESSION, (), now, now + MAX_LIFETIME)
        return self.issue(claims)

    def verify(self, token: str, *, expired_too: bool = False) -> Claims:
        """The claims of a token that Relay issued and that has not expired. Raises InvalidToken.

        Whether it was revoked, only the database knows. `expired_too` admits expired ones, for
        requests that only name a token.
        """
        if len(token) > MAX_TOKEN:
            raise InvalidToken(reason="malformed")
        try:
            kid = msgspec.json.decode(_header(token), type=_Header).kid
            signed = jws.deserialize_compact(token, self._keys[kid], registry=_ONE_ALGORITHM)
            payload = msgspec.json.decode(signed.payload, type=_Payload)
        except KeyError:
            raise InvalidToken(reason="unknown_key") from None
        except (JoseError, ValueError):  # msgspec's errors and UnicodeError are ValueErrors
            raise InvalidToken(reason="malformed") from None
        return self._checked(payload, 0.0 if expired_too else time.time())

    def _checked(self, payload: _Payload, now: float) -> Claims:
        user_id, token_id = parse_uuid(payload.sub), parse_uuid(payload.jti)
        if payload.iss != self.issuer or payload.aud != AUDIENCE:
            raise InvalidToken("The credential was not issued here for this.", reason="issuer")
        if user_id is None or token_id is None:
            raise InvalidToken(reason="malformed")
        if payload.exp <= now:
            raise InvalidToken("The credential has expired.", reason="expired")
        if max(payload.exp - payload.iat, payload.exp - time.time() - CLOCK_LEEWAY) > MAX_LIFETIME:
            raise InvalidToken("The credential runs longer than any we issue.", reason="lifetime")
        return Claims(user_id, token_id, payload.type, payload.scopes, payload.iat, payload.exp)

    def signing_secret(self, token_id: UUID, kid: str) -> str:
        """A signed token's secret (`whsec_…`, Standard Webhooks), derived and never stored.

        Raises InvalidToken when its key has left the keyring.
        """
        if (secret := self._secrets.get(kid)) is None:
            raise InvalidToken(reason="unknown_key")
        derived = hmac.digest(secret, b"relay request signing " + token_id.bytes, hashlib.sha256)
        return "whsec_" + base64.b64encode(derived).decode()


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    """Exactly the header we write: no `crit`, no embedded key, no other type."""

    alg: str
    typ: str
    kid: str

    def __post_init__(self) -> None:
        if self.alg != ALGORITHM or self.typ != TYPE:
            raise ValueError("not a token of ours")


def _header(token: str) -> bytes:
    encoded = token.partition(".")[0].encode("ascii")
    return base64.urlsafe_b64decode(encoded + b"=" * (-len(encoded) % 4))
