"""A token that Relay did not issue, or of the other kind, is refused on every route."""

import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.support.relay_server import Relay, bearer
from tests.support.token_uses import DAY, EVENT, post, watch
from tests.support.tokens import HEADER, KID, claims_of, encoded, forged, minted


def _bad_tokens(good: dict[str, Any], session: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What looks like the hook token of these claims, and must not count as one."""
    now = int(time.time())
    rsa = RSAKey.generate_key(2048)
    public = rsa.as_pem(private=False).decode()
    whole = minted(good)
    head, body, signature = whole.split(".")
    yield "alg none", forged({**HEADER, "alg": "none"}, good, None)
    yield "alg None", forged({**HEADER, "alg": "None"}, good, None)
    yield "alg none, signed", forged({**HEADER, "alg": "none"}, good)
    yield "no signature", f"{head}.{body}."
    yield "HS512 of our key", minted(good, alg="HS512")
    yield "HS384 of our key", minted(good, alg="HS384")
    yield "RS256 of its own key", jwt.encode({**HEADER, "alg": "RS256"}, good, rsa, ["RS256"])
    yield "HS256 of a public key", forged(HEADER, good, public)
    yield "RS256 said, HS256 done", forged({**HEADER, "alg": "RS256"}, good)
    yield "another secret", minted(good, secret="f" * 48)
    yield "unknown kid", minted(good, kid="other")
    yield "kid of a path", minted(good, kid="../../dev/null")
    yield "no kid", forged({"alg": "HS256", "typ": "JWT"}, good)
    yield "no alg", forged({"typ": "JWT", "kid": KID}, good)
    yield "no typ", forged({"alg": "HS256", "kid": KID}, good)
    yield "typ at+jwt", forged({**HEADER, "typ": "at+jwt"}, good)
    yield "crit", forged({**HEADER, "crit": ["exp"]}, good)
    yield "b64", forged({**HEADER, "b64": False, "crit": ["b64"]}, good)
    yield "jku", forged({**HEADER, "jku": "http://127.0.0.1/keys"}, good)
    yield "jwk", forged({**HEADER, "jwk": {"kty": "oct", "k": encoded(b"0" * 32)}}, good)
    yield "x5u", forged({**HEADER, "x5u": "http://127.0.0.1/cert"}, good)
    yield (
        "tampered signature",
        f"{head}.{body}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}",
    )
    yield "tampered claims", f"{head}.{encoded(b'{}')}.{signature}"
    yield "cut", whole[:-1]
    yield "two parts", f"{head}.{body}"
    yield "five parts", f"{whole}.{head}.{body}"
    yield "longer than any", f"{whole}{'A' * 5000}"
    yield "not base64", f"!{whole}"
    yield "no token", "x"
    yield "dots", "..."
    yield "claims that are no object", forged(HEADER, [good])  # type: ignore[arg-type]
    changes: list[dict[str, Any]] = [
        {"exp": None},
        {"exp": now - 1},
        {"exp": str(good["exp"])},
        {"exp": now + 401 * DAY},
        {"exp": 2**63},
        {"iat": None},
        {"aud": None},
        {"aud": "other"},
        {"aud": ["relay", "other"]},
        {"iss": None},
        {"iss": "https://elsewhere.example"},
        {"iss": good["iss"] + "/"},
        {"iss": good["iss"].replace("127.0.0.1", "localhost")},
        {"type": None},
        {"type": "session"},
        {"type": "admin"},
        {"scopes": None},
        {"scopes": ["admin"]},
        {"scopes": "webhook"},
        {"sub": None},
        {"sub": str(uuid4())},
        {"sub": session["sub"].upper().replace("-", "")},
        {"jti": None},
        {"jti": str(uuid4())},
        {"jti": session["jti"]},
        {"jti": "'; DROP TABLE tokens; --"},
    ]
    for change in changes:
        yield f"claims {change}", minted({**good, **change})


async def test_a_token_not_issued_here_is_refused_on_every_route(relay: Relay) -> None:
    user = await relay.user()
    good = claims_of(await user.hook())
    assert await post(relay, minted(good)) == 200  # so that each row fails for its own reason
    for what, token in _bad_tokens(good, claims_of(user.session)):
        answer = await relay.http.post("/api/webhook/cli", json=EVENT, headers=bearer(token))
        assert (what, answer.status_code) == (what, 401)
        assert answer.json()["code"] == "invalid_token", what
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"], what
        assert len(token) < 9 or token not in answer.text, what
        assert (what, await watch(relay, token)) == (what, [401, 401, 401])


async def test_session_and_hook_tokens_are_not_interchangeable(relay: Relay) -> None:
    user = await relay.user()
    session = claims_of(user.session)
    for change in ({"type": "hook", "scopes": ["webhook"]}, {"exp": int(time.time()) + 401 * DAY}):
        answer = await relay.http.get("/api/me", headers=bearer(minted({**session, **change})))
        assert answer.status_code == 401
