"""A revoke takes effect at once, may be repeated, and reaches one's own tokens alone."""

from uuid import uuid4

import pytest
import trio

from tests.support.patience import PATIENCE
from tests.support.relay_server import Relay, bearer, handshake, open_stream
from tests.support.token_uses import post, revoke, watch
from tests.support.tokens import claims_of


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
