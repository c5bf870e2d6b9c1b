"""A new token: its claims, its name, its place in the list, its expiry."""

import time
from typing import Any

import pytest
import trio

from tests.support.patience import PATIENCE
from tests.support.problems import check
from tests.support.relay_server import Relay, bearer
from tests.support.token_uses import DAY, EVENT, post, revoke, watch
from tests.support.tokens import claims_of


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


async def test_a_revoke_of_both_names_or_of_none_names_the_field(relay: Relay) -> None:
    user = await relay.user()
    for body, field in (({"token_id": "a", "token": "b"}, "token"), ({}, "token_id")):
        problem = check(await user.call("POST", "/api/token/revoke", json=body), 422, "invalid")
        assert (body, [error["where"] for error in problem["errors"]]) == (body, [field])


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
