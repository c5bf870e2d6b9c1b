"""`POST /api/user` makes a user once, and none for a bad credential or where signup is closed."""

import time

from tests.support.ports import HeldPort
from tests.support.relay_server import Relay, bearer, running_relay
from tests.support.tokens import claims_of, minted


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
