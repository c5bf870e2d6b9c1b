"""What pages may do: Origins, the cookie, tickets, and refusals that a browser can read."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import trio
from trio.testing import MockClock

from relay.db.pool import connect
from tests.support.clock import pass_by
from tests.support.patience import PATIENCE
from tests.support.relay_server import (
    Relay,
    User,
    bearer,
    behind_https,
    handshake,
    open_stream,
    running_relay,
)

LISTED = "https://app.example.com"
CORS = f"{LISTED}, https://*.example.app, http://127.0.0.1:1234"
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
EVENT = {"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": {}}


@pytest.fixture
async def relay(database_url: str) -> AsyncIterator[Relay]:
    async with running_relay(database_url, CORS=CORS) as server:
        yield server


def cookie(session: str) -> dict[str, str]:
    return {"Cookie": f"relay_session={session}"}


async def closed(relay: Relay, query: str = "", **headers: str) -> tuple[dict[str, Any], int]:
    """The one message and the close code of a handshake that is accepted to be refused."""
    async with open_stream(relay, "websocket", None, query, headers=headers) as stream:
        message = await stream.next()
        assert message["type"] == "close"
        return message, await stream.close_code()


async def ticket(user: User, origin: str | None = None, **headers: str) -> str:
    given = {**bearer(user.session), **({"Origin": origin} if origin else {}), **headers}
    answer = await user.relay.http.post("/api/rt/ticket", headers=given)
    assert (answer.status_code, answer.json()["expires_in"]) == (201, 30), answer.text
    made: str = answer.json()["ticket"]
    return made


# -- Origins


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


# -- the cookie


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


def _deletes_the_cookie(answer: httpx.Response) -> bool:
    lines = answer.headers.get_list("Set-Cookie")
    return any(line.startswith("relay_session=;") and "Max-Age=0" in line for line in lines)


# -- handshakes that a page can read


async def test_a_page_gets_its_refusal_in_band(relay: Relay) -> None:
    user = await relay.user()
    publisher = (await user.token(scopes=["publish"]))["token"]
    for origin in (relay.url, LISTED):
        for headers, query, code in (
            ({}, "", 4401),
            (bearer("broken"), "", 4401),
            (bearer(publisher), "", 4403),
            ({}, "?ticket=unknown", 4401),
            (bearer(user.session), "?after=nonsense", 4403),
            (bearer(user.session), "?after=oldest&last=1", 4403),
        ):
            message, close_code = await closed(relay, query, **headers, Origin=origin)
            assert (query, message["code"], close_code) == (query, code, code)
            assert message["reason"]
    # other clients than browsers read the status
    for headers, query, status in (
        ({}, "", 401),
        (bearer("broken"), "", 401),
        (bearer(publisher), "", 403),
        ({}, "?ticket=unknown", 401),
        (bearer(user.session), "?after=nonsense", 400),
        (bearer(user.session), "?after=oldest&last=1", 400),
    ):
        refused = await handshake(relay, query, **headers)
        assert (query, refused.status_code) == (query, status)
        assert refused.headers["Content-Type"] == "application/problem+json"


async def test_a_page_over_the_connection_cap_is_refused_in_band(database_url: str) -> None:
    async with running_relay(database_url, RELAY_MAX_CONNECTIONS_PER_USER="1") as relay:
        user = await relay.user()
        async with open_stream(relay, "websocket", user.session) as stream:
            await stream.hello()
            message, code = await closed(relay, **bearer(user.session), Origin=relay.url)
            assert (message["code"], code) == (4429, 4429)
            assert message["retry_after_ms"] > 0
            refused = await handshake(relay, **bearer(user.session))
            assert refused.status_code == 429
            assert int(refused.headers["Retry-After"]) > 0


# -- tickets


@pytest.mark.parametrize("transport", ["websocket", "sse"])
async def test_a_ticket_opens_its_users_stream_once(relay: Relay, transport: str) -> None:
    user = await relay.user()
    single = await ticket(user)
    statuses: list[int] = []

    async def spend() -> None:
        query = f"?ticket={single}"
        if transport == "websocket":
            status = (await handshake(relay, query)).status_code
        else:
            async with relay.http.stream("GET", f"/api/sse{query}") as answer:
                status = answer.status_code
        statuses.append(status)

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(spend)
    assert sorted(statuses) == sorted([101 if transport == "websocket" else 200] + [401] * 19)
    async with open_stream(relay, transport, None, f"?ticket={await ticket(user)}") as stream:
        await stream.hello()
        await user.posted(payload="mine")
        assert [event["payload"] for event in await stream.events(1)] == ["mine"]


async def test_a_ticket_lasts_30_seconds(relay: Relay, database_url: str) -> None:
    user = await relay.user()
    async with connect(database_url, timeout=PATIENCE) as database:
        ((before,),) = await database.fetch("SELECT now()")
        late = await ticket(user)
        ((expires_at, after),) = await database.fetch("SELECT expires_at, now() FROM tickets")
        assert before <= expires_at - timedelta(seconds=30) <= after
        await database.execute("UPDATE tickets SET expires_at = now()")
        fresh = await ticket(user)
        assert (await handshake(relay, f"?ticket={late}")).status_code == 401
        assert (await handshake(relay, f"?ticket={fresh}")).status_code == 101


async def test_a_ticket_is_kept_as_a_hash_only(relay: Relay, database_url: str) -> None:
    made = await ticket(await relay.user())
    async with connect(database_url, timeout=PATIENCE) as database:
        (row,) = await database.fetch("SELECT to_jsonb(tickets)::text AS text FROM tickets")
    assert made not in row["text"]
    assert made.encode().hex() not in row["text"]


async def test_a_ticket_of_a_page_is_valid_on_that_page_only(relay: Relay) -> None:
    user = await relay.user()
    bound = await ticket(user, LISTED)
    _, code = await closed(relay, f"?ticket={bound}", Origin="https://a.example.app")
    assert code == 4401
    bound = await ticket(user, LISTED)
    assert (await handshake(relay, f"?ticket={bound}")).status_code == 401
    bound = await ticket(user, LISTED)
    async with open_stream(
        relay, "websocket", None, f"?ticket={bound}", headers={"Origin": LISTED}
    ) as stream:
        await stream.hello()


async def test_the_own_page_may_open_server_sent_events_with_its_ticket(relay: Relay) -> None:
    """A page's EventSource of its own origin sends no Origin, only Sec-Fetch-Site."""
    user = await relay.user()
    headers = {**bearer(user.session), "Origin": relay.url}
    made = (await relay.http.post("/api/rt/ticket", headers=headers)).json()["ticket"]
    same = {"Sec-Fetch-Site": "same-origin"}
    async with open_stream(relay, "sse", None, f"?ticket={made}", headers=same) as stream:
        await stream.hello()


async def test_a_ticket_is_revoked_with_the_credential_that_minted_it(relay: Relay) -> None:
    user = await relay.user()
    for ending in ("revoked by the session", "revoked by itself"):
        made = await user.token()
        answer = await relay.http.post("/api/rt/ticket", headers=bearer(made["token"]))
        unspent = answer.json()["ticket"]
        answer = await relay.http.post("/api/rt/ticket", headers=bearer(made["token"]))
        async with open_stream(relay, "sse", None, f"?ticket={answer.json()['ticket']}") as stream:
            await stream.hello()
            by = user.session if "session" in ending else made["token"]
            answer = await relay.http.post(
                "/api/token/revoke", json={"token_id": made["token_id"]}, headers=bearer(by)
            )
            assert answer.status_code == 200
            assert (await stream.control("close"))["code"] == 4401
        assert (ending, (await handshake(relay, f"?ticket={unspent}")).status_code) == (ending, 401)


async def test_a_ticket_inherits_scopes_and_expiry(relay: Relay, clock: MockClock) -> None:
    user = await relay.user()
    watcher = (await user.token(scopes=["watch"], expires_in=3600))["token"]
    answer = await relay.http.post("/api/rt/ticket", headers=bearer(watcher))
    async with open_stream(
        relay, "websocket", None, f"?ticket={answer.json()['ticket']}"
    ) as stream:
        assert (await stream.hello())["token_ttl_s"] <= 3600
        await pass_by(clock, 3600)
        assert (await stream.control("close"))["code"] == 4401
    publisher = (await user.token(scopes=["publish"]))["token"]
    answer = await relay.http.post("/api/rt/ticket", headers=bearer(publisher))
    assert answer.status_code == 403  # there is nothing that it could watch


async def test_a_ticket_is_for_streams_only(relay: Relay) -> None:
    user = await relay.user()
    made = await ticket(user)
    for method, path in (("GET", "/api/events"), ("GET", "/api/me"), ("POST", "/api/rt/ticket")):
        answer = await relay.http.request(method, f"{path}?ticket={made}")
        assert (path, answer.status_code) == (path, 401)
        answer = await relay.http.request(method, path, headers=bearer(made))
        assert (path, answer.status_code) == (path, 401)
    assert (await handshake(relay, f"?ticket={made}")).status_code == 101


# -- https


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


async def test_refusals_in_band_are_json_objects_with_every_field(relay: Relay) -> None:
    async with open_stream(
        relay, "websocket", None, headers={"Origin": LISTED}, subprotocols=["relay.v1"]
    ) as stream:
        message = json.loads(await stream.text())
    assert message == {
        "type": "close",
        "code": 4401,
        "reason": "unauthorized",
        "retry_after_ms": None,
    }
