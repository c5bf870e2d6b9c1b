"""The one-time link: it signs in another device as the same user, once, and expires."""

from datetime import timedelta
from urllib.parse import urlsplit

import httpx
import pytest
import trio
from structlog.testing import capture_logs

from relay.db.pool import connect
from relay.errors import DatabaseAway
from relay.web.sessions import MAX_SESSIONS
from tests.support.patience import PATIENCE
from tests.support.relay_server import Relay, User, bearer


async def code_of(user: User) -> str:
    answer = await user.call("POST", "/api/session/link")
    assert answer.status_code == 201, answer.text
    link = urlsplit(answer.json()["link"])
    assert (link.path, link.query) == ("/", "")  # the secret never reaches a server
    code: str = link.fragment.removeprefix("link=")
    return code


async def redeem(
    relay: Relay, code: str, session: str | None = None, **more: object
) -> httpx.Response:
    headers = {} if session is None else bearer(session)
    body = {"code": code, **more}
    answer = await relay.http.post("/api/session/link/redeem", json=body, headers=headers)
    relay.http.cookies.clear()
    return answer


async def test_a_link_opens_the_same_user_with_a_session_of_its_own(relay: Relay) -> None:
    user = await relay.user()
    answer = await user.call("POST", "/api/session/link")
    made = answer.json()
    assert (made["expires_in"], made["qr"][:19]) == (300, "data:image/svg+xml;")
    assert made["link"].startswith(f"{relay.url}/#link=")
    opened = await redeem(relay, made["link"].partition("#link=")[2])
    assert opened.status_code == 201
    phone = User(relay, opened.json()["user_id"], opened.json()["session_token"])
    assert (phone.user_id, phone.session != user.session) == (user.user_id, True)
    async with user.sse() as here, phone.websocket() as there:
        await here.hello()
        await there.hello()
        await user.posted(payload="for both")
        for stream in (here, there):
            assert (await stream.events(1))[0]["payload"] == "for both"
        assert (await phone.call("DELETE", "/api/session")).status_code == 204
        assert (await there.control("close"))["code"] == 4401
        await user.posted(payload="for one")
        assert (await here.events(1))[0]["payload"] == "for one"


async def test_a_link_opened_many_times_at_once_admits_one(relay: Relay) -> None:
    code = await code_of(await relay.user())
    answers: list[httpx.Response] = []

    async def open_it() -> None:
        answers.append(await redeem(relay, code))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(open_it)
    assert sorted(answer.status_code for answer in answers) == [201] + [410] * 19
    assert {a.json()["code"] for a in answers if a.status_code == 410} == {"link_gone"}


async def test_a_newer_link_or_a_logout_invalidates_a_link(relay: Relay) -> None:
    user = await relay.user()
    older, newer = await code_of(user), await code_of(user)
    assert (await redeem(relay, older)).status_code == 410
    await user.call("DELETE", "/api/session")
    assert (await redeem(relay, newer)).status_code == 410
    assert (await redeem(relay, "never-was")).status_code == 410


async def test_a_link_expires_after_five_minutes_is_hashed_and_is_logged(
    relay: Relay, database_url: str
) -> None:
    user = await relay.user()
    async with connect(database_url, timeout=PATIENCE) as database:
        ((before,),) = await database.fetch("SELECT now()")
        code = await code_of(user)
        (row,) = await database.fetch("SELECT *, now() AS after FROM links")
        assert before <= row["expires_at"] - timedelta(minutes=5) <= row["after"]
        assert code not in str(dict(row))
        await database.execute("UPDATE links SET expires_at = now()")
        assert (await redeem(relay, code)).status_code == 410
        opened = await redeem(relay, await code_of(user))
        assert opened.status_code == 201
        rows = await database.fetch("SELECT user_id, action FROM audit_log ORDER BY audit_id")
        assert [row["action"] for row in rows][1:] == [
            *("link_made", "link_made", "session_opened_by_link"),
        ]
        assert {str(row["user_id"]) for row in rows} == {user.user_id}


async def test_a_link_opened_by_its_own_user_stays_unused(relay: Relay) -> None:
    user = await relay.user()
    code = await code_of(user)
    same = await redeem(relay, code, user.session)
    assert (same.status_code, same.json()["user_id"]) == (200, user.user_id)
    assert "session_token" not in same.json()
    assert (await redeem(relay, code)).status_code == 201


async def test_another_user_must_confirm_the_switch(relay: Relay) -> None:
    user, other = await relay.user(), await relay.user()
    code = await code_of(user)
    refused = await redeem(relay, code, other.session)
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (409, "already_somebody")
    assert problem["type"] == "urn:relay:problem:already_signed_in"  # the code of the next version
    assert (await other.call("GET", "/api/me")).status_code == 200
    assert (await redeem(relay, code, await other.hook(), replace=True)).status_code == 403
    async with other.sse() as stream:
        await stream.hello()
        became = await redeem(relay, code, other.session, replace=True)
        assert (became.status_code, became.json()["user_id"]) == (201, user.user_id)
        assert (await stream.control("close"))["code"] == 4401
    assert (await other.call("GET", "/api/me")).status_code == 401


async def test_a_switch_whose_earlier_session_could_not_be_ended_has_its_session(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link is spent by then, so a refusal would lose both streams."""

    async def away(*_: object) -> None:
        raise DatabaseAway()

    user, other = await relay.user(), await relay.user()
    code = await code_of(user)
    monkeypatch.setattr("relay.blueprints.sessions.end_session", away)
    with capture_logs() as logged:
        became = await redeem(relay, code, other.session, replace=True)
    assert (became.status_code, became.json()["user_id"]) == (201, user.user_id)
    (line,) = [line for line in logged if line["event"] == "replaced_session_stays"]
    assert line["error"] == "DatabaseAway"


async def test_a_foreign_page_cannot_redeem_a_link_and_gets_no_cookie(relay: Relay) -> None:
    code = await code_of(await relay.user())
    foreign = {"Origin": "https://evil.example"}
    path = "/api/session/link/redeem"
    answer = await relay.http.post(path, json={"code": code}, headers=foreign)
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (403, False)
    own = await relay.http.post(path, json={"code": code}, headers={"Origin": relay.url})
    assert (own.status_code, "HttpOnly" in own.headers["Set-Cookie"]) == (201, True)
    relay.http.cookies.clear()


async def test_all_other_sessions_end_with_their_links(relay: Relay) -> None:
    user = await relay.user()
    opened = [await redeem(relay, await code_of(user)) for _ in range(2)]
    lost = User(relay, user.user_id, opened[0].json()["session_token"])
    theirs = await code_of(lost)
    async with lost.sse() as stream:
        await stream.hello()
        answer = await user.call("DELETE", "/api/session/others")
        assert (answer.status_code, answer.json()) == (200, {"ended": 2})
        assert (await stream.control("close"))["code"] == 4401
    assert (await redeem(relay, theirs)).status_code == 410
    assert (await user.call("GET", "/api/me")).status_code == 200


async def test_a_user_has_a_bounded_number_of_sessions(relay: Relay, database_url: str) -> None:
    user = await relay.user()
    code = await code_of(user)
    async with connect(database_url, timeout=PATIENCE) as database:
        await database.execute(
            "INSERT INTO sessions (session_id, user_id, expires_at)"
            " SELECT gen_random_uuid(), $1::uuid, now() + interval '1 day'"
            f" FROM generate_series(2, {MAX_SESSIONS})",
            user.user_id,
        )
    assert (await redeem(relay, code)).status_code == 410
    refused = await user.call("POST", "/api/session/link")
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_sessions")
