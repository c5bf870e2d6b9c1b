"""The cookie: for Relay's own page alone, out of a script's reach, and deleted once it is stale."""

import httpx
import pytest

from tests.support.clocks import behind
from tests.support.pages import LISTED, closed, cookie
from tests.support.patience import PATIENCE
from tests.support.relay_server import Relay, bearer, behind_https, handshake, open_stream


async def test_a_new_user_gets_a_cookie_that_scripts_cannot_read(relay: Relay) -> None:
    for headers in ({}, {"Origin": relay.url}):
        answer = await relay.http.post("/api/user", headers=headers)
        relay.http.cookies.clear()
        (line,) = answer.headers.get_list("Set-Cookie")
        value, *attributes = line.split("; ")
        assert value == f"relay_session={answer.json()['session_token']}"
        assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(attributes)
        assert not {"Secure", "Domain"} & {part.partition("=")[0] for part in attributes}
        assert any(part.startswith(("Max-Age=", "Expires=")) for part in attributes)


async def test_a_listed_page_gets_a_user_but_no_cookie(relay: Relay) -> None:
    answer = await relay.http.post("/api/user", headers={"Origin": LISTED})
    assert answer.status_code == 201
    assert "Set-Cookie" not in answer.headers


async def test_the_cookie_is_valid_on_the_own_page_only(relay: Relay) -> None:
    user = await relay.user()
    own, same = {"Origin": relay.url}, {"Sec-Fetch-Site": "same-origin"}
    reading: list[tuple[dict[str, str], int]] = [
        (own, 200),
        (same, 200),
        ({**own, **same}, 200),
        ({}, 401),
        ({"Sec-Fetch-Site": "same-site"}, 401),
        ({"Sec-Fetch-Site": "cross-site"}, 401),
        ({"Sec-Fetch-Site": "none"}, 401),
        ({"Origin": LISTED}, 401),
        ({"Origin": LISTED, **same}, 401),
        ({"Origin": "https://evil.example"}, 401),
        ({"Origin": "null", **same}, 401),
    ]
    for headers, status in reading:
        for path in ("/api/me", "/api/events"):
            answer = await relay.http.get(path, headers={**cookie(user.session), **headers})
            assert (headers, path, answer.status_code) == (headers, path, status)
            if status == 401:  # as if nothing had been sent
                assert answer.json()["code"] == "unauthorized"
                assert "error" not in answer.headers["WWW-Authenticate"]
                assert "Set-Cookie" not in answer.headers
    acting: list[tuple[dict[str, str], int]] = [
        (own, 201),
        ({}, 401),
        (same, 401),
        ({"Origin": LISTED}, 401),
        ({"Origin": LISTED, **same}, 401),
        ({"Origin": "https://evil.example", **same}, 403),
    ]
    for headers, status in acting:
        answer = await relay.http.post("/api/token", headers={**cookie(user.session), **headers})
        assert (headers, answer.status_code) == (headers, status)
    assert len((await user.call("GET", "/api/me")).json()["tokens"]) == 1


async def test_a_listed_page_with_the_cookie_gets_a_new_user(relay: Relay) -> None:
    user = await relay.user()
    headers = {**cookie(user.session), "Origin": LISTED}
    answer = await relay.http.post("/api/user", headers=headers)
    assert answer.status_code == 201
    assert answer.json()["user_id"] != user.user_id
    assert "Set-Cookie" not in answer.headers
    headers["Origin"] = relay.url
    answer = await relay.http.post("/api/user", headers=headers)
    assert (answer.status_code, answer.json()["user_id"]) == (200, user.user_id)


async def test_the_cookie_opens_streams_on_the_own_page_only(relay: Relay) -> None:
    user = await relay.user()
    mine = cookie(user.session)
    own, same = {"Origin": relay.url}, {"Sec-Fetch-Site": "same-origin"}
    for transport, headers in (("websocket", own), ("sse", own), ("sse", same)):
        async with open_stream(relay, transport, None, headers={**mine, **headers}) as stream:
            await stream.hello()
    # a WebSocket handshake of a page always has an Origin: without one it is no page
    for headers in ({}, same):
        assert (await handshake(relay, **mine, **headers)).status_code == 401
    for headers in ({}, {"Origin": LISTED}, {"Sec-Fetch-Site": "cross-site"}):
        answer = await relay.http.get("/api/sse", headers={**mine, **headers})
        assert (headers, answer.status_code) == (headers, 401)
    message, code = await closed(relay, **mine, Origin=LISTED)
    assert (message["code"], code) == (4401, 4401)


async def test_a_bearer_takes_precedence_over_the_cookie(relay: Relay) -> None:
    one, other = await relay.user(), await relay.user()
    headers = {**cookie(one.session), "Origin": relay.url}
    answer = await relay.http.get("/api/me", headers={**headers, **bearer(other.session)})
    assert answer.json()["user_id"] == other.user_id
    answer = await relay.http.get("/api/me", headers={**headers, **bearer("broken")})
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers  # it was not the cookie that is stale


async def test_a_stale_cookie_is_refused_and_deleted(relay: Relay) -> None:
    user = await relay.user()
    answer = await relay.http.delete(
        "/api/session", headers={**cookie(user.session), "Origin": relay.url}
    )
    assert answer.status_code == 204
    assert _deletes_the_cookie(answer)
    own = {"Origin": relay.url}
    for stale in (user.session, "broken", "ü".encode().decode("latin-1")):
        for method, path in (
            ("GET", "/api/me"),
            ("GET", "/api/events"),
            ("GET", "/api/sse"),
            ("POST", "/api/user"),
            ("POST", "/api/token"),
            ("POST", "/api/rt/ticket"),
            ("DELETE", "/api/session"),
        ):
            sent = [(b"Cookie", f"relay_session={stale}".encode("latin-1"))]
            async with httpx.AsyncClient(base_url=relay.url, timeout=PATIENCE) as page:
                answer = await page.request(
                    method,
                    path,
                    headers=[*sent, *((k.encode(), v.encode()) for k, v in own.items())],
                )
            assert (stale, path, answer.status_code) == (stale, path, 401)
            assert answer.json()["code"] == "invalid_token"
            assert _deletes_the_cookie(answer), path
    # a page without the dead cookie has no user, and may create one
    assert (await relay.http.post("/api/user", headers=own)).status_code == 201


async def test_a_stale_cookie_is_deleted_with_any_query(relay: Relay) -> None:
    headers = {"Cookie": "relay_session=broken", "Origin": relay.url}
    answer = await relay.http.get("/api/me?ticket=x", headers=headers)
    assert answer.status_code == 401
    assert "Max-Age=0" in answer.headers.get("Set-Cookie", "")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_clock_that_is_behind_costs_no_session(
    relay: Relay, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """A machine without a battery has a wrong clock until it has asked others for the time."""
    user = await relay.user()
    call = ("POST", "/api/user") if method == "POST" else ("GET", "/api/me")
    headers = {**cookie(user.session), "Origin": relay.url}
    with monkeypatch.context() as patched:
        behind(patched, days=2)
        answer = await relay.http.request(*call, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (503, "clock_behind")
        assert "Set-Cookie" not in answer.headers
        assert "Retry-After" in answer.headers
        message, code = await closed(relay, **headers)
        assert (message["reason"], code) == ("clock_behind", 1012)
    answer = await relay.http.request(*call, headers=headers)
    assert (answer.status_code, answer.json()["user_id"]) == (200, user.user_id)


def _deletes_the_cookie(answer: httpx.Response) -> bool:
    lines = answer.headers.get_list("Set-Cookie")
    return any(line.startswith("relay_session=;") and "Max-Age=0" in line for line in lines)


async def test_on_https_the_cookie_is_bound_to_its_host(database_url: str) -> None:
    own = {"Origin": "https://relay.example"}
    async with behind_https(database_url, "https://relay.example") as relay:
        answer = await relay.http.post("/api/user", headers=own)
        relay.http.cookies.clear()
        session = answer.json()["session_token"]
        (line,) = answer.headers.get_list("Set-Cookie")
        value, *attributes = line.split("; ")
        assert value == f"__Host-relay_session={session}"
        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(attributes)
        assert not any(part.lower().startswith("domain") for part in attributes)
        for name, headers, status in (
            ("__Host-relay_session", own, 200),
            ("relay_session", own, 401),
            ("__Host-relay_session", {"Origin": relay.url}, 401),
            ("__Host-relay_session", {"Origin": "http://relay.example"}, 401),
        ):
            answer = await relay.http.get(
                "/api/me", headers={"Cookie": f"{name}={session}", **headers}
            )
            assert (name, headers, answer.status_code) == (name, headers, status)
        ended = await relay.http.delete(
            "/api/session", headers={"Cookie": f"__Host-relay_session={session}", **own}
        )
        (line,) = ended.headers.get_list("Set-Cookie")
        assert line.startswith("__Host-relay_session=;")
        assert {"Secure", "Path=/", "Max-Age=0"} <= set(line.split("; "))
