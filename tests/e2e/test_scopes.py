"""A credential does what its kind and its scopes allow, and a refusal names what is missing."""

from tests.support.relay_server import Relay, bearer
from tests.support.token_uses import EVENT, post, watch

NO_CREDENTIAL = 'Bearer realm="relay"'


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
    assert answer.json()["detail"].startswith("A session cannot publish. Make a token for it:")
    watcher = (await user.token(scopes=["watch"]))["token"]
    refused = await relay.http.post("/api/webhook/cli", json=EVENT, headers=bearer(watcher))
    assert refused.json()["detail"].startswith("This token is watch-only.")
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
