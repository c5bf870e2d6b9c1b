"""A foreign page can neither act nor read, whatever credential it sends; a listed one can."""

from tests.support.pages import EVENT, LISTED, cookie, ticket
from tests.support.relay_server import Relay, bearer, handshake, open_stream

FOREIGN = [
    "null",
    "",
    "https://evil.example",
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://app.example.com.evil.example",
    "https://evilapp.example.com",
    "https://evil-example.app",
    "https://example.app",
    "https://.example.app",
    "https://a.b.example.app",
    "https://a.example.app.evil.example",
    "https://a.example.app:8443",
    "http://a.example.app",
    "https://a.example.app/",
    "https://a_b.example.app",
    "http://127.0.0.1",
    "http://127.0.0.1:12345",
    "http://127.0.0.2:1234",
]


async def test_a_foreign_page_can_neither_act_nor_read_with_any_credential(relay: Relay) -> None:
    user = await relay.user()
    hook = await user.hook()
    calls = [
        ("POST", "/api/user", {}),
        ("POST", "/api/user", cookie(user.session)),
        ("POST", "/api/token", bearer(user.session)),
        ("POST", "/api/token", cookie(user.session)),
        ("POST", "/api/token/revoke", bearer(hook)),
        ("DELETE", "/api/session", bearer(user.session)),
        ("DELETE", "/api/session", cookie(user.session)),
        ("POST", "/api/rt/ticket", bearer(user.session)),
        ("POST", "/api/webhook/cli", bearer(hook)),
        ("POST", "/api/webhook/cli", bearer("broken")),
        ("GET", "/api/sse", bearer(user.session)),
    ]
    for origin in FOREIGN:
        for method, path, headers in calls:
            answer = await relay.http.request(
                method, path, headers={**headers, "Origin": origin}, json=EVENT
            )
            what = (origin, method, path)
            assert (what, answer.status_code) == (what, 403)
            assert (what, answer.json()["code"]) == (what, "foreign_origin")
            assert "Set-Cookie" not in answer.headers
        for headers in ({}, bearer(user.session), cookie(user.session), bearer("broken")):
            refused = await handshake(relay, "?after=nonsense", **headers, Origin=origin)
            assert (origin, refused.status_code) == (origin, 403)
            assert refused.json()["code"] == "foreign_origin"
    assert (await user.call("GET", "/api/events")).json()["events"] == []
    assert len((await user.call("GET", "/api/me")).json()["tokens"]) == 1


async def test_a_foreign_page_cannot_spend_a_ticket(relay: Relay) -> None:
    user = await relay.user()
    free = await ticket(user)
    assert (
        await handshake(relay, f"?ticket={free}", Origin="https://evil.example")
    ).status_code == 403
    answer = await relay.http.get(f"/api/sse?ticket={free}", headers={"Origin": "null"})
    assert answer.status_code == 403
    assert (await handshake(relay, f"?ticket={free}")).status_code == 101


async def test_listed_and_own_pages_may_act_and_read_with_a_bearer(relay: Relay) -> None:
    user = await relay.user()
    origins = (LISTED, "https://a.example.app", "https://a-1.example.app", relay.url)
    for origin in (*origins, "http://127.0.0.1:1234"):
        answer = await relay.http.post(
            "/api/webhook/cli", json=EVENT, headers={**bearer(await user.hook()), "Origin": origin}
        )
        assert (origin, answer.status_code) == (origin, 200)
        for transport in ("websocket", "sse"):
            async with open_stream(
                relay, transport, user.session, headers={"Origin": origin}
            ) as stream:
                await stream.hello()


async def test_the_names_of_loopback_are_one_origin(relay: Relay) -> None:
    user = await relay.user()
    port = relay.url.rpartition(":")[2]
    for host in ("127.0.0.1", "localhost", "[::1]"):
        headers = {**cookie(user.session), "Origin": f"http://{host}:{port}"}
        assert (await relay.http.post("/api/user", headers=headers)).status_code == 200
        headers["Origin"] = f"https://{host}:{port}"
        assert (await relay.http.post("/api/user", headers=headers)).status_code == 403
