"""Every refusal has one shape, an id, and nothing secret in it."""

from relay.db.pool import connect
from tests.support.client.protocol import head
from tests.support.patience import PATIENCE
from tests.support.problems import check
from tests.support.relay_server import Relay, bearer, handshake, raw_http


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
