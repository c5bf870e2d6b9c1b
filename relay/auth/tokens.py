"""Issue and verify Relay's tokens: JWTs (RFC 7519) with HS256. Only this file uses joserfc.

The algorithm is fixed, and never taken from a token. `kid` chooses among our own keys, for
rotation: the first signs, all verify.
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
from relay.errors import ClockBehind, InvalidToken
from relay.events import parse_uuid

ALGORITHM = "HS256"
_REGISTRY = jws.JWSRegistry(algorithms=[ALGORITHM])
AUDIENCE = "relay"
TYPE = "JWT"
MAX_TOKEN_CHARACTERS = 4096  # characters: ours have about 400, and longer ones need not be hashed
MAX_LIFETIME_SECONDS = 400 * 86_400  # seconds: browsers keep a cookie no longer
MAX_ACTIVE_TOKENS = 1_000  # hook tokens of one user: more than a person can keep apart
CLOCK_LEEWAY_SECONDS = 86_400  # seconds the clock may have been set back since a token was issued


class Kind(StrEnum):
    SESSION = "session"
    HOOK = "hook"


class Scope(StrEnum):
    """What a hook token may do. `webhook` is publish and watch."""

    WEBHOOK = "webhook"
    PUBLISH = "publish"
    WATCH = "watch"


class Claims(msgspec.Struct, frozen=True):
    """A token's claims. `id` is the token's own; times are in seconds since 1970."""

    user_id: UUID
    id: UUID
    kind: Kind
    scopes: tuple[Scope, ...]
    issued_at: int
    expires_at: int


class _Payload(msgspec.Struct):
    """The claims as encoded. All are required."""

    iss: str
    aud: str
    sub: str
    jti: str
    type: Kind
    scopes: tuple[Scope, ...]
    iat: int
    exp: int


class Keyring:
    """The signing keys of one issuer."""

    def __init__(self, keys: Sequence[SigningKey], issuer: str) -> None:
        self.issuer = issuer
        self.kid = keys[0].kid
        self._secrets = {key.kid: key.secret for key in keys}
        self._keys = {key.kid: OctKey.import_key(key.secret) for key in keys}

    def issue(self, claims: Claims) -> str:
        """Encode the claims as a token, signed with the first key."""
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
        """Issue the token of a stored session.

        It is valid for longer than `SESSION_DAYS`, because using a session moves its end. The
        database decides when it ends.
        """
        now = int(time.time())
        claims = Claims(user_id, session_id, Kind.SESSION, (), now, now + MAX_LIFETIME_SECONDS)
        return self.issue(claims)

    def verify(self, token: str, *, allow_expired: bool = False) -> Claims:
        """The claims of a token that Relay issued and that has not expired.

        It does not check for revocation. `allow_expired` admits a token at any time, for requests
        that only name it. Raises InvalidToken, ClockBehind.
        """
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise InvalidToken(reason="malformed")
        try:
            kid = msgspec.json.decode(_header(token), type=_Header).kid
            signed = jws.deserialize_compact(token, self._keys[kid], registry=_REGISTRY)
            payload = msgspec.json.decode(signed.payload, type=_Payload)
        except KeyError:
            raise InvalidToken(reason="unknown_key") from None
        except (JoseError, ValueError):  # msgspec's errors and UnicodeError are ValueErrors
            raise InvalidToken(reason="malformed") from None
        return self._checked(payload, None if allow_expired else time.time())

    def _checked(self, payload: _Payload, now: float | None) -> Claims:
        user_id, token_id = parse_uuid(payload.sub), parse_uuid(payload.jti)
        if payload.iss != self.issuer or payload.aud != AUDIENCE:
            raise InvalidToken("The credential was issued for another address.", reason="issuer")
        if user_id is None or token_id is None:
            raise InvalidToken(reason="malformed")
        if payload.exp - payload.iat > MAX_LIFETIME_SECONDS:
            raise InvalidToken(
                "The credential's lifetime is longer than Relay allows.", reason="lifetime"
            )
        if now is not None:
            if payload.exp <= now:
                raise InvalidToken("The credential has expired.", reason="expired")
            if payload.exp - now > MAX_LIFETIME_SECONDS + CLOCK_LEEWAY_SECONDS:
                raise ClockBehind()  # the token is Relay's own: its client must not give it up
        return Claims(user_id, token_id, payload.type, payload.scopes, payload.iat, payload.exp)

    def signing_secret(self, token_id: UUID, kid: str) -> str:
        """A token's signing secret (`whsec_…`, Standard Webhooks), derived and never stored.

        Raises InvalidToken if the keyring does not have its key any more.
        """
        if (secret := self._secrets.get(kid)) is None:
            raise InvalidToken(reason="unknown_key")
        derived = hmac.digest(secret, b"relay request signing " + token_id.bytes, hashlib.sha256)
        return "whsec_" + base64.b64encode(derived).decode()


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    """The header that Relay writes. Others are refused: no `crit`, no embedded key."""

    alg: str
    typ: str
    kid: str

    def __post_init__(self) -> None:
        if self.alg != ALGORITHM or self.typ != TYPE:
            raise ValueError("not a token of ours")


def _header(token: str) -> bytes:
    encoded = token.partition(".")[0].encode("ascii")
    return base64.urlsafe_b64decode(encoded + b"=" * (-len(encoded) % 4))
