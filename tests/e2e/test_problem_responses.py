"""Every refusal has one shape; health, readiness and metrics."""

import json

import pytest
import trio

from relay.db.pool import connect
from tests.support.client.protocol import HANDSHAKE, head
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.problems import check
from tests.support.relay_server import Relay, bearer, handshake, raw_http, running_relay
from tests.support.tokens import claims_of

METRICS = [
    "relay_http_requests_total",
    "relay_http_request_duration_seconds_bucket",
    "relay_events_ingested_total",
    "relay_events_duplicate_total",
    "relay_connected_sockets",
    "relay_delivery_latency_seconds_bucket",
    "relay_stream_closes_total",
    "relay_resumes_total",
    "relay_auth_failures_total",
    "relay_build_info",
]


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


async def test_a_handshake_at_an_unknown_path_gets_the_problem_document(relay: Relay) -> None:
    asked = {**HANDSHAKE, "Accept": "text/html"}
    async with raw_http(relay) as connection:
        fields = [f"{name}: {value}" for name, value in asked.items()]
        await connection.send(head("/nowhere", *fields, method="GET"))
        answer = await connection.answer("GET", **asked)
    check(answer, 404, "not_found")


@pytest.mark.parametrize("path", ["/nowhere", "/api/nowhere/else", "/docs/"])
async def test_a_browser_at_an_unknown_path_gets_a_404_page(relay: Relay, path: str) -> None:
    answer = await relay.http.get(path, headers={"Accept": BROWSER})
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Accept" in answer.headers["Vary"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert 'href="/docs"' in answer.text
    assert (await relay.http.head(path, headers={"Accept": BROWSER})).status_code == 404


@pytest.mark.parametrize(
    ("method", "accept"),
    [
        ("GET", None),
        ("GET", "*/*"),
        ("GET", "application/json"),
        ("GET", "application/json, text/html"),
        ("GET", "application/problem+json, text/html;q=0.9"),
        ("GET", "text/html;q=nonsense"),
        ("POST", BROWSER),
        ("OPTIONS", BROWSER),
    ],
)
async def test_other_clients_at_an_unknown_path_get_the_problem(
    relay: Relay, method: str, accept: str | None
) -> None:
    relay.http.headers.pop("Accept", None)
    headers = {} if accept is None else {"Accept": accept}
    answer = await relay.http.request(method, "/nowhere", headers=headers)
    check(answer, 404, "not_found")
    assert "Accept" in answer.headers["Vary"]


async def test_every_refusal_over_http_has_the_same_shape(relay: Relay) -> None:
    user = await relay.user()
    session, hook = bearer(user.session), bearer(await user.hook())
    json_type = {"Content-Type": "application/json"}
    rows: list[tuple[str, str, dict[str, str], bytes, int, str]] = [
        ("GET", "/nowhere", {}, b"", 404, "not_found"),
        ("GET", "/api/me/", session, b"", 404, "not_found"),
        ("GET", "/%00%FF%2e%2e/etc", {}, b"", 404, "not_found"),
        ("GET", "/console/none.js", {}, b"", 404, "not_found"),
        ("POST", "/api/me", session, b"", 405, "method_not_allowed"),
        ("GET", "/api/webhook/cli", hook, b"", 405, "method_not_allowed"),
        ("PUT", "/api/token", session, b"", 405, "method_not_allowed"),
        ("BREW", "/api/user", {}, b"", 405, "method_not_allowed"),
        ("TRACE", "/api/user", {}, b"", 405, "method_not_allowed"),
        ("GET", "/api/me", {}, b"", 401, "unauthorized"),
        ("GET", "/api/me", bearer("x"), b"", 401, "invalid_token"),
        ("GET", "/api/me", hook, b"", 403, ""),
        ("POST", "/api/webhook/cli", session, b"{}", 403, "insufficient_scope"),
        ("POST", "/api/user", {"Origin": "null"}, b"", 403, "foreign_origin"),
        ("GET", "/api/events?after=x", session, b"", 400, "bad_cursor"),
        ("GET", "/api/events?limit=x", session, b"", 400, "bad_request"),
        ("POST", "/api/webhook/cli", {**hook, **json_type}, b"{", 400, "bad_request"),
        ("POST", "/api/webhook/cli", hook, b"{}", 415, "unsupported_media_type"),
        ("POST", "/api/webhook/cli", {**hook, **json_type}, b"{}", 422, "invalid"),
        ("POST", "/api/token", {**session, **json_type}, b'{"x":1}', 422, "invalid"),
        ("POST", "/api/token/revoke", {**session, **json_type}, b'{"token":"x"}', 404, "not_found"),
        ("GET", "/api/rt", session, b"", 400, "bad_request"),
    ]
    for method, path, headers, body, status, code in rows:
        answer = await relay.http.request(method, path, headers=headers, content=body)
        problem = check(answer, status, code or None)
        assert ("errors" in problem) is (status == 422), (method, path)
        if status == 405:
            assert answer.headers["Allow"], (method, path)
    too_large = {**session, **json_type}
    answer = await relay.http.post("/api/token", headers=too_large, content=b"x" * 131_073)
    check(answer, 413, "payload_too_large")


async def test_a_refused_method_gets_the_allowed_ones(relay: Relay) -> None:
    allowed = (await relay.http.put("/api/user")).headers["Allow"]
    assert "POST" in allowed.split(", ")
    assert "PUT" not in allowed


OTHER_SPELLINGS = (
    *("//api/me", "/api//me", "///api/me", "/%2Fapi/me", "/api%2fme", "//relay/api/me"),
    *("/%61pi/me", "/api/m%65", "/api/me%00", "/api/me%20", "/%6detrics", "/console/favicon%2esvg"),
)


@pytest.mark.parametrize("path", [*OTHER_SPELLINGS, "//evil.example/%2e%2e", "/x/../api/me"])
async def test_a_path_has_one_spelling(relay: Relay, path: str) -> None:
    """A rule for a path in front of Relay must not be passed by another spelling of it."""
    user = await relay.user()
    for target in (path, f"http://relay{path}"):
        async with raw_http(relay) as connection:
            mine = f"Authorization: Bearer {user.session}"
            await connection.send(head(target, mine, method="GET"))
            check(await connection.answer("GET"), 404)


async def test_a_stream_path_has_one_spelling(relay: Relay) -> None:
    user = await relay.user()
    mine = f"Authorization: Bearer {user.session}"
    asked = [f"{name}: {value}" for name, value in HANDSHAKE.items()]
    targets = (("//api/sse", ()), ("/api/ss%65", ()), ("//api/rt", asked), ("/api/%72t", asked))
    for target, given in targets:
        async with raw_http(relay) as connection:
            await connection.send(head(target, mine, *given, method="GET"))
            check(await connection.answer("GET"), 404)
    assert (await user.call("GET", "/api/me")).json()["connections"] == 0


async def test_a_response_that_ends_its_connection_says_close(relay: Relay) -> None:
    user = await relay.user()
    fixed = (f"Authorization: Bearer {user.session}", "Content-Type: application/json")
    chunk = b"20001\r\n" + b"x" * 0x20001 + b"\r\n"
    for length, body in (
        ("Content-Length: 1000000000", b""),
        ("Transfer-Encoding: chunked", chunk),
    ):
        async with raw_http(relay) as connection:
            await connection.send(head("/api/token", *fixed, length) + body)
            answer = await connection.answer()
            assert answer.status_code == 413
            assert await connection.receive() == b""  # it ends
            assert answer.headers.get("Connection") == "close"


async def test_refused_handshakes_have_the_same_shape(relay: Relay) -> None:
    user = await relay.user()
    session = bearer(user.session)
    publisher = bearer((await user.token(scopes=["publish"]))["token"])
    for query, headers, status, code in (
        ("", {}, 401, "unauthorized"),
        ("", bearer("x"), 401, "invalid_token"),
        ("?ticket=x", {}, 401, "invalid_token"),
        ("", publisher, 403, "insufficient_scope"),
        ("", {**session, "Origin": "https://evil.example"}, 403, "foreign_origin"),
        ("?after=x", session, 400, "bad_cursor"),
        ("", {**session, "Sec-WebSocket-Version": "8"}, 400, "bad_request"),
    ):
        check(await handshake(relay, query, **headers), status, code)
    lines = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    for target, given, status in (
        ("/nowhere", (*lines, key), 404),
        ("/api/sse", (*lines, key), 400),
        ("/api/rt", lines, 400),
    ):
        async with raw_http(relay) as connection:
            await connection.send(head(target, *given, method="GET"))
            answer = await connection.answer("GET")
        assert answer.status_code in (status, 404), target
        check(answer, answer.status_code)


async def test_refusals_of_the_server_layer_have_the_same_shape(relay: Relay) -> None:
    for request, status in (
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: relay\r\n\r\n", 505),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: relay\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: relay\r\nX: " + b"x" * 17_000 + b"\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: relay\r\nContent-Length: x\r\n\r\n", 400),
        (b"GET nowhere HTTP/1.1\r\nHost: relay\r\n\r\n", 400),
    ):
        async with raw_http(relay) as connection:
            await connection.send(request)
            check(await connection.answer("GET"), status)


async def test_an_internal_error_hides_its_details(relay: Relay, database_url: str) -> None:
    user = await relay.user()
    async with connect(database_url, timeout=PATIENCE) as database:
        await database.execute("DROP TABLE tickets")
    answer = await user.call("POST", "/api/rt/ticket")
    problem = check(answer, 500, "internal_error")
    for word in ("tickets", "relation", "Traceback", "INSERT", "asyncpg", ".py"):
        assert word not in answer.text
    assert problem["title"] == "Internal error"
    check(await handshake(relay, "?ticket=x"), 500, "internal_error")
    check(await relay.http.get("/api/sse?ticket=x"), 500, "internal_error")
    assert (await user.posted())["ok"] is True  # and nothing else is harmed


async def test_every_response_has_a_request_id_and_keeps_a_valid_one(relay: Relay) -> None:
    user = await relay.user()
    for given in ("abc", "A-1_b.c:d/e+f=@", "x" * 128, "01a20515-54f2-764f-b353-c7c35c3774e7"):
        for path, headers in (
            ("/healthz", {}),
            ("/nowhere", {}),
            ("/api/me", {}),
            ("/api/me", bearer(user.session)),
        ):
            answer = await relay.http.get(path, headers={**headers, "X-Request-ID": given})
            assert answer.headers.get_list("X-Request-ID") == [given]
        refused = await handshake(relay, **{"X-Request-ID": given})
        assert check(refused, 401)["request_id"] == given
    seen = set()
    for insane in ("", "x" * 129, "a b", 'a"b', "<script>", "a\tb", "{}", "a;b", "é"):
        sent = [(b"X-Request-ID", insane.encode())]
        answer = await relay.http.get("/nowhere", headers=sent)
        made = check(answer, 404)["request_id"]
        assert made not in ("", insane)
        seen.add(made)
    seen.add((await relay.http.get("/healthz")).headers["X-Request-ID"])
    assert len(seen) == 10
    async with relay.http.stream("GET", "/api/sse", headers=bearer(user.session)) as stream:
        assert stream.headers["X-Request-ID"]
    accepted = await handshake(relay, **bearer(user.session), **{"X-Request-ID": "mine"})
    assert (accepted.status_code, accepted.headers["X-Request-ID"]) == (101, "mine")


async def test_refusals_of_the_server_layer_keep_a_valid_request_id(relay: Relay) -> None:
    lines = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    for target, given in (("/api/rt", lines), ("/" + "x" * 9000, ())):
        async with raw_http(relay) as connection:
            await connection.send(head(target, *given, "X-Request-ID: mine", method="GET"))
            answer = await connection.answer("GET")
        assert answer.headers["X-Request-ID"] == answer.json()["request_id"] == "mine"


async def test_no_refusal_echoes_a_secret_or_a_payload(relay: Relay) -> None:
    user = await relay.user()
    hook, canary = await user.hook(), "canary-7f3a"
    json_type = {"Content-Type": "application/json"}
    tail = user.session[-40:]
    calls: list[tuple[str, str, dict[str, str], str]] = [
        ("POST", "/api/webhook/cli", {**bearer(hook), **json_type}, f'{{"payload":"{canary}"}}'),
        ("POST", "/api/webhook/cli", {**bearer(hook), **json_type}, f'["{canary}"'),
        ("POST", "/api/webhook/cli", {**bearer(hook), **json_type}, f'{{"ts":"{canary}"}}'),
        ("POST", "/api/webhook/cli", {**bearer(hook), **json_type}, f'{{"event_type":"{canary}"}}'),
        ("POST", "/api/webhook/cli", {**bearer(hook), **json_type}, f'{{"event_id":"{canary} "}}'),
        ("GET", f"/{canary}", {}, ""),
        ("GET", f"/api/me?token={canary}", {}, ""),
        ("GET", f"/api/events?after={canary}", bearer(hook), ""),
        ("GET", f"/api/events?last={canary}", bearer(hook), ""),
        ("GET", f"/api/sse?ticket={canary}", {}, ""),
        ("GET", "/api/me", bearer(canary), ""),
        ("GET", "/api/me", {"Authorization": f"Basic {canary}"}, ""),
        ("GET", "/api/me", {"Cookie": f"relay_session={canary}", "Origin": relay.url}, ""),
        ("POST", "/api/user", {"Origin": f"https://{canary}.example"}, ""),
        ("POST", "/api/token", {**bearer(user.session), **json_type}, f'{{"name":["{canary}"]}}'),
        ("POST", "/api/token", {**bearer(user.session), **json_type}, f'{{"expires_in":"{tail}"}}'),
        ("POST", "/api/token/revoke", {**bearer(hook), **json_type}, f'{{"token":"{tail}"}}'),
        ("POST", "/api/token/revoke", {**bearer(hook), **json_type}, f'{{"token_id":["{tail}"]}}'),
    ]
    for method, path, headers, body in calls:
        answer = await relay.http.request(method, path, headers=headers, content=body)
        check(answer, answer.status_code)
        shown = answer.text + str(answer.headers)
        assert canary not in shown.replace("relay_session=", ""), (path, body)
        assert tail not in shown, (path, body)


async def test_a_misplaced_token_is_not_echoed(relay: Relay) -> None:
    user = await relay.user()
    hook = await user.hook()
    for body in ({"scopes": [hook]}, {"scopes": [user.session[-40:]]}):
        answer = await user.call("POST", "/api/token", json=body)
        assert answer.status_code == 422
        assert body["scopes"][0] not in answer.text


# -- for operators


async def test_health_and_readiness_need_no_credential(relay: Relay, database_url: str) -> None:
    for path in ("/healthz", "/readyz"):
        for method in ("GET", "HEAD"):
            answer = await relay.http.request(method, path)
            assert (path, method, answer.status_code) == (path, method, 200)


async def test_metrics_are_readable_from_loopback_only(database_url: str) -> None:
    async with running_relay(database_url) as relay:
        user = await relay.user()
        await user.posted(event_id="e")
        await user.posted(event_id="e")
        assert (await relay.http.get("/api/me")).status_code == 401
        async with user.websocket() as stream:
            await stream.hello()
            await user.posted()
            await stream.events(1)
        with trio.fail_after(PATIENCE):
            while "relay_stream_closes_total{" not in (await relay.http.get("/metrics")).text:  # noqa: ASYNC110
                await trio.sleep(LOOK_EVERY)
        answer = await relay.http.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith(("text/plain", "application/openmetrics"))
        missing = [name for name in METRICS if f"\n{name}" not in answer.text]
        assert missing == []
        for secret in (
            user.session,
            await user.hook(),
            user.user_id,
            claims_of(user.session)["jti"],
        ):
            assert secret not in answer.text
        openmetrics = await relay.http.get(
            "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
        )
        assert openmetrics.headers["Content-Type"].startswith("application/openmetrics-text")
        assert openmetrics.text.endswith("# EOF\n")
        for header in ("X-Forwarded-For", "Forwarded"):
            check(await relay.http.get("/metrics", headers={header: "127.0.0.1"}), 403)


async def test_any_proxy_header_closes_the_metrics(relay: Relay) -> None:
    for header in ("X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via"):
        answer = await relay.http.get("/metrics", headers={header: "192.0.2.1"})
        assert (header, answer.status_code) == (header, 403)


async def test_metrics_with_a_token_need_that_token(database_url: str) -> None:
    secret = "metrics-token-0123456789"
    async with running_relay(database_url, RELAY_METRICS_TOKEN=secret) as relay:
        user = await relay.user()
        nothing = await relay.http.get("/metrics")
        check(nothing, 401, "unauthorized")
        assert "error" not in nothing.headers["WWW-Authenticate"]
        for wrong in ("x", secret + "x", secret[:-1], user.session):
            check(await relay.http.get("/metrics", headers=bearer(wrong)), 401, "invalid_token")
        check(await relay.http.get("/metrics", headers={"Authorization": f"Basic {secret}"}), 401)
        behind = {**bearer(secret), "X-Forwarded-For": "192.0.2.1"}
        for headers in (bearer(secret), behind):
            assert (await relay.http.get("/metrics", headers=headers)).status_code == 200


async def test_metrics_count_what_their_help_states(relay: Relay) -> None:
    user = await relay.user()

    async def value(line: str) -> float:
        text = (await relay.http.get("/metrics")).text
        found = [row for row in text.splitlines() if row.startswith(line + " ")]
        return float(found[0].split()[-1]) if found else 0.0

    rows = {
        'relay_events_ingested_total{event_type="task_failed"}': 1,
        "relay_events_duplicate_total": 1,
        'relay_http_requests_total{method="POST",route="/api/webhook/cli",status="200"}': 2,
        'relay_http_requests_total{method="GET",route="unmatched",status="404"}': 1,
        'relay_stream_closes_total{code="4401"}': 1,
        'relay_resumes_total{outcome="fresh"}': 1,
    }
    made = await user.token()
    before = {row: await value(row) for row in rows}
    for _ in range(2):
        await user.posted(event_id="same", event_type="task_failed")
    await relay.http.get("/nowhere/secret")
    async with user.websocket() as stream:
        await stream.hello()
        assert await value('relay_connected_sockets{transport="websocket"}') == 1
        assert made
        await user.call("DELETE", "/api/session")
        await stream.control("close")
        assert await stream.close_code() == 4401
    assert {row: await value(row) - before[row] for row in rows} == rows


async def test_the_openapi_and_asyncapi_documents_are_served(relay: Relay) -> None:
    answer = await relay.http.get("/openapi.json")
    assert answer.status_code == 200
    document = json.loads(answer.content)
    assert document["openapi"].startswith("3.")
    described = {
        (method.upper(), path) for path, item in document["paths"].items() for method in item
    }
    assert {
        ("POST", "/api/user"),
        ("GET", "/api/me"),
        ("POST", "/api/token"),
        ("POST", "/api/token/revoke"),
        ("DELETE", "/api/session"),
        ("POST", "/api/webhook/cli"),
        ("GET", "/api/events"),
        ("POST", "/api/rt/ticket"),
        ("GET", "/api/sse"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
    } <= described


@pytest.mark.parametrize("path", ["/", "/openapi.json"])
async def test_pages_load_from_their_own_origin_only(relay: Relay, path: str) -> None:
    answer = await relay.http.get(path)
    assert answer.status_code == 200
    for host in ("cdn.", "unpkg", "jsdelivr", "googleapis"):
        assert host not in answer.text
