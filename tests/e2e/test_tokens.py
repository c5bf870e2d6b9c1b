"""What tokens allow: valid and invalid ones, scopes, and the effect of a revoke."""

import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
import trio
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.support.patience import PATIENCE
from tests.support.ports import HeldPort
from tests.support.relay_server import Relay, User, bearer, handshake, open_stream, running_relay
from tests.support.tokens import HEADER, KID, claims_of, encoded, forged, minted

DAY = 86_400
NO_CREDENTIAL = 'Bearer realm="relay"'
EVENT = {"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": {}}


async def post(relay: Relay, token: str) -> int:
    answer = await relay.http.post("/api/webhook/cli", json=EVENT, headers=bearer(token))
    return answer.status_code


async def watch(relay: Relay, token: str) -> list[int]:
    """The status of every way to read; 200 and 101 are let go of at once."""
    page = await relay.http.get("/api/events", headers=bearer(token))
    sse = await relay.http.head("/api/sse", headers=bearer(token))
    return [
        page.status_code,
        sse.status_code,
        (await handshake(relay, **bearer(token))).status_code,
    ]


async def revoke(relay: Relay, credential: str, body: dict[str, Any] | None) -> int:
    """The status of a revoke; None sends no body at all."""
    content: dict[str, Any] = {} if body is None else {"json": body}
    answer = await relay.http.post("/api/token/revoke", headers=bearer(credential), **content)
    if answer.status_code == 200:
        assert answer.json() == {"ok": True}
    return answer.status_code


# -- tokens that do not count


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
        {"exp": now + 402 * DAY, "iat": now + 2 * DAY},
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


async def test_a_token_has_the_documented_claims(relay: Relay) -> None:
    user = await relay.user()
    made = await user.token(name="ci", scopes=["publish"], expires_in=3600)
    claims = claims_of(made["token"])
    assert claims == {
        "iss": relay.url,
        "aud": "relay",
        "sub": user.user_id,
        "jti": made["token_id"],
        "type": "hook",
        "scopes": ["publish"],
        "iat": claims["iat"],
        "exp": claims["iat"] + 3600,
    }
    del made["token"]
    assert made == {
        "token_id": claims["jti"],
        "user_id": user.user_id,
        "type": "hook",
        "scopes": ["publish"],
        "exp": claims["exp"],
    }
    session = claims_of(user.session)
    assert (session["type"], session["sub"], session["iss"]) == ("session", user.user_id, relay.url)


# -- what a new token may be


async def test_a_token_is_what_was_asked_for_or_refused(relay: Relay) -> None:
    user = await relay.user()
    for wanted, lifetime in (
        ({}, 90 * DAY),
        ({"expires_in": None, "name": None, "scopes": None}, 90 * DAY),
        ({"expires_in": 1}, 1),
        ({"expires_in": 400 * DAY}, 400 * DAY),
    ):
        before = int(time.time())
        made = await user.token(**wanted)
        assert before <= made["exp"] - lifetime <= time.time(), wanted
        assert (made["type"], made["scopes"]) == ("hook", ["webhook"])
        assert "signing_secret" not in made
    assert (await user.token(scopes=["watch", "publish"]))["scopes"] == ["watch", "publish"]
    wrong: list[tuple[Any, str]] = [
        ({"expires_in": 0}, "expires_in"),
        ({"expires_in": -1}, "expires_in"),
        ({"expires_in": 400 * DAY + 1}, "expires_in"),
        ({"expires_in": "3600"}, "expires_in"),
        ({"expires_in": 1.5}, "expires_in"),
        ({"expires_in": True}, "expires_in"),
        ({"expires_in": 10**30}, "expires_in"),
        ({"scopes": []}, "scopes"),
        ({"scopes": "webhook"}, "scopes"),
        ({"scopes": ["admin"]}, "scopes[0]"),
        ({"scopes": ["webhook", "*"]}, "scopes[1]"),
        ({"name": 7}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"signed": "yes"}, "signed"),
        ({"user_id": user.user_id}, "user_id"),
        ([], "body"),
    ]
    for body, field in wrong:
        answer = await user.call("POST", "/api/token", json=body)
        assert (body, answer.status_code) == (body, 422)
        assert (body, [error["where"] for error in answer.json()["errors"]]) == (body, [field])
    assert (await user.call("POST", "/api/token", content=b"{")).status_code in (400, 415)


@pytest.mark.parametrize(
    "control",
    [
        *"\x00\t\n\x1b\x7f\x80\x85\x9b\x9d\x9f",
        *"\u061c\u200e\u200f\u202a\u202e\u2066\u2069\u2028\u2029",
    ],
)
async def test_a_name_has_no_character_that_a_terminal_obeys(relay: Relay, control: str) -> None:
    user = await relay.user()
    answer = await user.call("POST", "/api/token", json={"name": f"a{control}b"})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["where"], f"U+{ord(control):04X}" in error["message"]) == ("name", True)
    assert control not in answer.text


@pytest.mark.parametrize(
    "name", ["é", "日本", "a b", "😀", "\u00a0", "\u200d", "a-b_c/d", "\ufffd"]
)
async def test_other_names_are_kept_as_given(relay: Relay, name: str) -> None:
    user = await relay.user()
    await user.token(name=name)
    listed = (await user.call("GET", "/api/me")).json()["tokens"]
    assert [token["name"] for token in listed] == [name]


async def test_an_unstorable_name_is_a_client_error(relay: Relay) -> None:
    user = await relay.user()
    for name in ("a\x00b", "\x00"):
        answer = await user.call("POST", "/api/token", json={"name": name})
        assert (name, answer.status_code) == (name, 422)
        assert [error["where"] for error in answer.json()["errors"]] == ["name"]


async def test_the_active_tokens_are_listed_and_never_shown_again(relay: Relay) -> None:
    user = await relay.user()
    named, other = await user.token(name="ci ü"), await user.token(scopes=["watch"])
    gone = await user.token()
    assert await revoke(relay, user.session, {"token_id": gone["token_id"]}) == 200
    answer = await user.call("GET", "/api/me")
    listed = {token["token_id"]: token for token in answer.json()["tokens"]}
    assert set(listed) == {named["token_id"], other["token_id"]}
    assert (listed[named["token_id"]]["name"], listed[named["token_id"]]["scopes"]) == (
        "ci ü",
        ["webhook"],
    )
    assert listed[other["token_id"]]["scopes"] == ["watch"]
    assert set(listed[named["token_id"]]) == {
        "token_id",
        "name",
        "scopes",
        "created_at",
        "expires_at",
        "last_used_at",
    }
    assert named["token"] not in answer.text


async def test_a_token_ends_at_its_expiry(relay: Relay) -> None:
    user = await relay.user()
    made = await user.token(expires_in=1)
    token = made["token"]
    with trio.fail_after(PATIENCE):
        while await post(relay, token) == 200:  # noqa: ASYNC110 - a clock tells no Event
            await trio.sleep(0.1)
    assert time.time() >= made["exp"]
    answer = await relay.http.post("/api/webhook/cli", json=EVENT, headers=bearer(token))
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert await watch(relay, token) == [401, 401, 401]
    assert await revoke(relay, token, None) == 401
    listed = (await user.call("GET", "/api/me")).json()["tokens"]
    assert listed == []


# -- scopes


async def test_a_token_does_only_what_its_scopes_allow(relay: Relay) -> None:
    user = await relay.user()
    for scopes, publishes, watches in (
        (["webhook"], True, True),
        (["publish"], True, False),
        (["watch"], False, True),
        (["publish", "watch"], True, True),
    ):
        token = (await user.token(scopes=scopes))["token"]
        assert (scopes, await post(relay, token)) == (scopes, 200 if publishes else 403)
        expected = [200, 200, 101] if watches else [403, 403, 403]
        assert (scopes, await watch(relay, token)) == (scopes, expected)


async def test_a_session_watches_and_manages_but_does_not_publish(relay: Relay) -> None:
    user = await relay.user()
    answer = await user.call("POST", "/api/webhook/cli", json=EVENT)
    assert answer.status_code == 403
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
    assert await watch(relay, user.session) == [200, 200, 101]


async def test_a_hook_token_manages_nothing(relay: Relay) -> None:
    user = await relay.user()
    for method, path in (("GET", "/api/me"), ("POST", "/api/token"), ("DELETE", "/api/session")):
        answer = await relay.http.request(method, path, headers=bearer(await user.hook()))
        assert (path, answer.status_code) == (path, 403)
    answer = await relay.http.post("/api/user", headers=bearer(await user.hook()))
    assert answer.status_code == 403
    assert await post(relay, await user.hook()) == 200


async def test_the_challenge_names_an_error_only_when_a_credential_was_sent(relay: Relay) -> None:
    user = await relay.user()
    protected = [
        ("GET", "/api/me"),
        ("POST", "/api/token"),
        ("POST", "/api/token/revoke"),
        ("DELETE", "/api/session"),
        ("POST", "/api/webhook/cli"),
        ("GET", "/api/events"),
        ("POST", "/api/rt/ticket"),
        ("GET", "/api/sse"),
    ]
    for method, path in protected:
        nothing = await relay.http.request(method, path)
        assert (path, nothing.status_code) == (path, 401)
        assert (path, nothing.headers["WWW-Authenticate"]) == (path, NO_CREDENTIAL)
        assert nothing.json()["code"] == "unauthorized"
        broken = await relay.http.request(method, path, headers=bearer("broken"))
        assert (path, broken.status_code) == (path, 401)
        assert broken.headers["WWW-Authenticate"].startswith(f"{NO_CREDENTIAL}, ")
        assert 'error="invalid_token"' in broken.headers["WWW-Authenticate"]
        assert broken.json()["code"] == "invalid_token"
        empty = await relay.http.request(method, path, headers={"Authorization": "Bearer"})
        assert (path, empty.status_code) == (path, 401)
    watcher = (await user.token(scopes=["watch"]))["token"]
    refused = await relay.http.post("/api/webhook/cli", json=EVENT, headers=bearer(watcher))
    assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]
    assert 'scope="publish"' in refused.headers["WWW-Authenticate"]


async def test_a_token_in_the_query_or_the_body_is_no_credential(relay: Relay) -> None:
    user = await relay.user()
    for name in ("token", "access_token", "ticket", "session_token"):
        for path in ("/api/me", "/api/events"):
            answer = await relay.http.get(path, params={name: user.session})
            assert (name, path, answer.status_code) == (name, path, 401)
    answer = await relay.http.get("/api/sse", params={"ticket": user.session})
    assert answer.status_code == 401


async def test_an_unsupported_scheme_is_challenged_without_an_error_code(relay: Relay) -> None:
    answer = await relay.http.get("/api/me", headers={"Authorization": "Basic dTpw"})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="relay"'


async def test_a_hook_token_on_a_session_route_gets_the_error_code(relay: Relay) -> None:
    user, other = await relay.user(), await relay.user()
    hook = bearer(await user.hook())
    named = {"token_id": (await other.token())["token_id"]}
    for method, path, body in (
        ("GET", "/api/me", None),
        ("POST", "/api/token", None),
        ("DELETE", "/api/session", None),
        ("POST", "/api/user", None),
        ("POST", "/api/token/revoke", named),
    ):
        answer = await relay.http.request(method, path, headers=hook, json=body)
        assert (path, answer.status_code) == (path, 403)
        challenge = answer.headers["WWW-Authenticate"]
        assert (path, 'error="insufficient_scope"' in challenge) == (path, True)


# -- signing up


async def test_post_user_creates_a_user_once(relay: Relay) -> None:
    answer = await relay.http.post("/api/user")
    relay.http.cookies.clear()
    made = answer.json()
    assert (answer.status_code, set(made)) == (201, {"user_id", "session_token", "expires_at"})
    again = await relay.http.post("/api/user", headers=bearer(made["session_token"]))
    assert again.status_code == 200
    assert again.json()["user_id"] == made["user_id"]
    assert set(again.json()) == {"user_id", "expires_at"}
    assert "Set-Cookie" not in again.headers


async def test_post_user_with_a_bad_credential_is_refused(relay: Relay) -> None:
    user = await relay.user()
    expired = minted({**claims_of(user.session), "exp": int(time.time()) - 1})
    assert (await user.call("DELETE", "/api/session")).status_code == 204
    for token in (expired, user.session, "broken"):
        answer = await relay.http.post("/api/user", headers=bearer(token))
        assert (token, answer.status_code) == (token, 401)
        assert "Set-Cookie" not in answer.headers
    for header in ("Bearer", "Basic dTpw", user.session):
        answer = await relay.http.post("/api/user", headers={"Authorization": header})
        assert (header, answer.status_code) == (header, 401)


async def test_with_signup_closed_no_user_is_created(database_url: str) -> None:
    port = HeldPort()
    bind = f"127.0.0.1:{port.number}"
    async with running_relay(database_url, RELAY_BIND=bind) as relay:
        user = await relay.user()
    async with running_relay(database_url, RELAY_BIND=bind, RELAY_OPEN_SIGNUP="off") as closed:
        answer = await closed.http.post("/api/user")
        assert (answer.status_code, answer.json()["code"]) == (403, "signup_closed")
        assert "Set-Cookie" not in answer.headers
        known = await closed.http.post("/api/user", headers=bearer(user.session))
        assert (known.status_code, known.json()["user_id"]) == (200, user.user_id)


# -- revoking


async def test_a_session_revokes_by_id_or_by_token_and_may_repeat_it(relay: Relay) -> None:
    user = await relay.user()
    for name in ("token_id", "token"):
        made = await user.token()
        assert await post(relay, made["token"]) == 200
        for _ in range(2):
            assert await revoke(relay, user.session, {name: made[name]}) == 200
        assert await post(relay, made["token"]) == 401
        assert await watch(relay, made["token"]) == [401, 401, 401]


async def test_an_expired_token_of_ones_own_is_revoked_by_token_as_by_id(relay: Relay) -> None:
    user = await relay.user()
    made = await user.token(expires_in=1)
    with trio.fail_after(PATIENCE):
        while await post(relay, made["token"]) != 401:  # noqa: ASYNC110
            await trio.sleep(0.1)
    for name in ("token_id", "token"):
        answer = await user.call("POST", "/api/token/revoke", json={name: made[name]})
        assert (name, answer.status_code) == (name, 200)


async def test_a_hook_token_revokes_itself_and_may_repeat_it(relay: Relay) -> None:
    user = await relay.user()
    for scopes in (["webhook"], ["publish"], ["watch"]):
        for body in (None, {}, {"token_id": ...}, {"token": ...}):
            made = await user.token(scopes=scopes)
            named = None if body is None else {name: made[name] for name in body}
            for _ in range(3):  # revoked already, it is still heard here
                assert await revoke(relay, made["token"], named) == 200
            assert await watch(relay, made["token"]) == [401, 401, 401]
    made = await user.token()
    assert await revoke(relay, user.session, {"token_id": made["token_id"]}) == 200
    assert await revoke(relay, made["token"], None) == 200  # whichever credential revoked it


async def test_a_revoked_hook_token_is_accepted_on_no_other_route(relay: Relay) -> None:
    user = await relay.user()
    hook = await user.hook()
    assert await revoke(relay, hook, None) == 200
    for method, path in (
        ("GET", "/api/events"),
        ("POST", "/api/rt/ticket"),
        ("POST", "/api/webhook/cli"),
        ("GET", "/api/me"),
        ("POST", "/api/user"),
        ("POST", "/api/token"),
        ("DELETE", "/api/session"),
    ):
        answer = await relay.http.request(method, path, headers=bearer(hook))
        assert (path, answer.status_code) == (path, 401)


async def test_a_hook_token_naming_another_is_refused_and_changes_nothing(relay: Relay) -> None:
    user, stranger = await relay.user(), await relay.user()
    hook, other = await user.hook(), await user.token()
    theirs = await stranger.token()
    for name in ("token_id", "token"):
        assert await revoke(relay, hook, {name: other[name]}) == 403
        assert await revoke(relay, hook, {name: theirs[name]}) == 403
    assert await revoke(relay, hook, None) == 200
    assert await revoke(relay, hook, {"token_id": other["token_id"]}) == 403
    assert await post(relay, other["token"]) == 200
    assert await post(relay, theirs["token"]) == 200


async def test_another_users_token_looks_unknown(relay: Relay) -> None:
    user, stranger = await relay.user(), await relay.user()
    theirs = await stranger.token()
    problems = []
    for body in (
        {"token_id": theirs["token_id"]},
        {"token": theirs["token"]},
        {"token_id": str(uuid4())},
        {"token_id": "no id"},
        {"token": "no token"},
        {"token": user.session},
        {"token_id": claims_of(user.session)["jti"]},
    ):
        answer = await user.call("POST", "/api/token/revoke", json=body)
        assert (body, answer.status_code) == (body, 404)
        problems.append({**answer.json(), "request_id": ""})
    assert all(problem == problems[0] for problem in problems)
    assert await post(relay, theirs["token"]) == 200


async def test_a_session_must_name_what_it_revokes(relay: Relay) -> None:
    user = await relay.user()
    made = await user.token()
    for body in (None, {}, {"token_id": 7}, {"token_id": None}, {"id": made["token_id"]}):
        assert (body, await revoke(relay, user.session, body)) == (body, 422)
    both = {"token_id": made["token_id"], "token": made["token"]}
    assert await revoke(relay, user.session, both) == 422


async def test_deleting_a_session_ends_it_and_every_stream_it_opened(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "relay.auth.credentials.REVOCATION_POLL_INTERVAL", 3600
    )  # at once: no poll looks for it
    user = await relay.user()
    hook = await user.hook()
    ticket = (await user.call("POST", "/api/rt/ticket")).json()["ticket"]
    cookie = {"Cookie": f"relay_session={user.session}", "Sec-Fetch-Site": "same-origin"}
    async with (
        open_stream(relay, "websocket", user.session) as by_header,
        open_stream(relay, "sse", None, headers=cookie) as by_cookie,
        open_stream(relay, "websocket", None, f"?ticket={ticket}") as by_ticket,
        open_stream(relay, "websocket", hook) as of_the_hook,
    ):
        streams = (by_header, by_cookie, by_ticket)
        for stream in (*streams, of_the_hook):
            await stream.hello()
        unspent = (await user.call("POST", "/api/rt/ticket")).json()["ticket"]
        answer = await user.call("DELETE", "/api/session")
        assert (answer.status_code, answer.content) == (204, b"")
        for stream in streams:
            assert (await stream.control("close"))["code"] == 4401
        assert (await handshake(relay, f"?ticket={unspent}")).status_code == 401
        await user.posted()  # the user's other credentials live on
        assert len(await of_the_hook.events(1)) == 1
    assert (await user.call("GET", "/api/me")).status_code == 401
    assert (await user.call("DELETE", "/api/session")).status_code == 401


# -- one's own and no other user's


async def _everything_of(user: User) -> dict[str, Any]:
    """What a user can see of itself, but for the time of last use."""
    me = (await user.call("GET", "/api/me")).json()
    for token in me["tokens"]:
        token.pop("last_used_at")
    return {"me": me, "events": (await user.call("GET", "/api/events")).json()}


@pytest.mark.parametrize("credential", ["session", "hook"])
async def test_no_credential_of_one_user_touches_anything_of_another(
    relay: Relay, credential: str
) -> None:
    one, other = await relay.user(), await relay.user()
    token = one.session if credential == "session" else await one.hook()
    theirs = await other.token(name="theirs")
    (receipt,) = await other.publish(1)
    await other.publish(2)
    their_ticket = (await other.call("POST", "/api/rt/ticket")).json()["ticket"]
    async with open_stream(relay, "websocket", other.session) as their_stream:
        await their_stream.hello()
        before = await _everything_of(other)

        async def call(method: str, path: str, **kwargs: Any) -> httpx.Response:
            return await relay.http.request(method, path, headers=bearer(token), **kwargs)

        for query in ("", "?last=10", f"?after={receipt['cursor']}", "?after=oldest"):
            page = (await call("GET", f"/api/events{query}")).json()
            assert (query, page["events"]) == (query, [])
        page = (await call("GET", f"/api/events?lastEventId={receipt['cursor']}")).json()
        assert (page["resumed"], page["reason"]) == (False, "epoch")
        for extra in (f"user_id={other.user_id}", f"sub={other.user_id}"):
            assert (await call("GET", f"/api/events?{extra}")).json()["events"] == []
        for body in ({"token_id": theirs["token_id"]}, {"token": theirs["token"]}):
            assert await revoke(relay, token, body) in (403, 404)
        if credential == "session":
            mine = (await call("GET", "/api/me")).json()
            assert (mine["user_id"], mine["connections"], mine["tokens"]) == (one.user_id, 0, [])
        for transport in ("websocket", "sse"):
            # the bearer decides, whatever ticket or cursor stands in the address
            query = f"?ticket={their_ticket}&after={receipt['cursor']}"
            async with open_stream(relay, transport, token, query) as stream:
                hello = await stream.hello()
                assert (hello["resumed"], hello["reason"]) == (False, "epoch")
                mine = await one.posted(event_id=receipt["id"])
                assert mine["watchers"] == 1
                assert (await stream.events(1))[0]["cursor"] == (
                    mine["cursor"] if transport == "websocket" else _first(mine["cursor"])
                )
        if credential == "session":
            assert (await call("DELETE", "/api/session")).status_code == 204
        else:
            assert await revoke(relay, token, None) == 200
        assert await _everything_of(other) == before
        await other.posted(payload="last")
        assert [event["payload"] for event in await their_stream.events(1)] == ["last"]


def _first(cursor: str) -> str:
    return cursor.partition(".")[0] + ".1"
