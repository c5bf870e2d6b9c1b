"""HTTP: every request gets a response, whatever it asks and however it is framed."""

import pytest
from quart_trio import QuartTrio

from tests.support.server.raw_answers import problem
from tests.support.server.stage import Server, Stage, get, serving


async def test_connection_close_is_obeyed_under_quart_trio(quart: QuartTrio) -> None:
    async with serving(quart) as server:
        answer = await server.ask(get("/", "Connection: close"))
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b"ok")
        await server.observer.until(lambda: server.observer.live == 0)


async def test_pipelined_requests_are_answered_in_order(server: Server, stage: Stage) -> None:
    client = await server.connect()
    await client.send(get("/one") + get("/two") + get("/three"))
    for path in ("/one", "/two", "/three"):
        visit = await stage.visit()
        assert visit.scope["path"] == path
        await visit.respond(path.encode())
        visit.leave()
    assert [(await client.response())[1] for _ in range(3)] == [b"/one", b"/two", b"/three"]


async def test_http_1_0_is_answered_and_closed(server: Server, stage: Stage) -> None:
    client = await server.connect()
    await client.send(get(version="1.0"))
    visit = await stage.visit()
    await visit.start()
    await visit.body(b"raw ", more=True)
    await visit.body(b"bytes")
    visit.leave()
    answer = await client.rest()
    assert answer.endswith(b"\r\n\r\nraw bytes")
    assert b"chunked" not in answer


async def test_expect_100_continue_is_answered_before_the_body(quart: QuartTrio) -> None:
    async with serving(quart) as server:
        client = await server.connect()
        head = "POST /echo HTTP/1.1\r\nHost: relay\r\nContent-Length: 4\r\n"
        await client.send(head.encode() + b"Expect: 100-continue\r\nConnection: close\r\n\r\n")
        interim = await client.exactly(12)
        assert interim == b"HTTP/1.1 100"
        await client.send(b"body")
        assert (await client.rest()).endswith(b"\r\n\r\nbody")


async def test_h2c_is_never_switched_to(server: Server, stage: Stage) -> None:
    client = await server.connect()
    upgrade = get("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA")
    await client.send(upgrade)
    visit = await stage.visit()
    assert visit.scope["http_version"] == "1.1"
    await visit.respond(b"plain")
    visit.leave()
    assert (await client.response())[1] == b"plain"
    await client.send(get())  # and the connection goes on
    visit = await stage.visit()
    await visit.respond()
    visit.leave()
    assert (await client.response())[1] == b"ok"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (get(version="2.0"), 505),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (get("/", "Authorization: Bearer a", "Authorization: Bearer b"), 400),
        (get("/", "Content-Type: application/json", "content-type: text/plain"), 400),
        (get("/", "Host: caf\xe9").replace(b"Host: relay\r\n", b""), 400),
        (get("/", "Transfer-Encoding: gzip"), 501),
        (get("/", "Content-Length: -1"), 400),
        (get("/" + "a" * 9_000), 414),
        (get("/", "X: " + "a" * 20_000), 431),
        (get("/", *(f"X-{n}: {'a' * 1_000}" for n in range(50))), 431),
        (get("?no-path"), 400),
        (get("ftp://relay/"), 400),
        (b"CONNECT relay:443 HTTP/1.1\r\nHost: relay\r\n\r\n", 400),
    ],
)
async def test_an_unservable_request_is_refused_with_a_problem(
    server: Server, sent: bytes, status: int
) -> None:
    assert problem(await server.ask(sent))["status"] == status
    assert server.observer.refusals == [status]


async def test_an_absolute_address_is_understood(server: Server, stage: Stage) -> None:
    client = await server.connect()
    await client.send(get("http://relay/path?query"))
    visit = await stage.visit()
    assert (visit.scope["path"], visit.scope["query_string"]) == ("/path", b"query")
    await visit.respond()
    visit.leave()


async def test_a_foreign_host_is_not_found_and_a_malformed_one_refused(stage: Stage) -> None:
    async with serving(stage, server_names=["relay"]) as server:
        assert problem(await server.ask(get("/", version="1.0").replace(b"relay", b"other")))
        broken = get().replace(b"relay", b"\xff\xfe")
        assert problem(await server.ask(broken))["status"] == 400
        assert server.observer.refusals == [404, 400]


async def test_a_body_that_breaks_off_its_framing_is_a_400(server: Server, stage: Stage) -> None:
    client = await server.connect()
    await client.send(
        b"POST / HTTP/1.1\r\nHost: relay\r\nTransfer-Encoding: chunked\r\n\r\nnope\r\n"
    )
    visit = await stage.visit()
    assert (await visit.receive())["type"] == "http.disconnect"
    visit.leave()
    assert problem(await client.rest())["status"] == 400
