"""When a request's body is read, and what happens to a body that no handler reads."""

import pytest
import trio

from relay.errors import Unauthorized
from relay.web.auth import parse_bearer
from tests.support.client.protocol import head
from tests.support.patience import PATIENCE
from tests.support.relay_server import Relay, raw_http

CHUNKED = "Transfer-Encoding: chunked"


async def is_live(relay: Relay, session: str) -> bool:
    answer = await relay.http.get("/api/me", headers={"Authorization": f"Bearer {session}"})
    return answer.status_code == 200


async def test_a_request_with_a_malformed_body_has_no_effect(relay: Relay) -> None:
    user = await relay.user()
    async with raw_http(relay) as connection:
        asked = head(
            "/api/session", f"Authorization: Bearer {user.session}", CHUNKED, method="DELETE"
        )
        await connection.send(asked + b"zz\r\n")
        assert (await connection.answer("DELETE")).status_code == 400
    assert await is_live(relay, user.session)


async def test_a_request_whose_client_leaves_before_its_end_has_no_effect(relay: Relay) -> None:
    user, other = await relay.user(), await relay.user()
    async with raw_http(relay) as connection:
        for session, length in ((user.session, 10), (other.session, 2)):
            asked = head(
                "/api/session",
                f"Authorization: Bearer {session}",
                f"Content-Length: {length}",
                method="DELETE",
            )
            async with raw_http(relay) as connection:
                await connection.send(asked + b"ab")
                await connection.send_eof()
                with trio.fail_after(PATIENCE):
                    received = await connection.receive()
                assert received.startswith(b"HTTP/1.1 204") == (length == 2)
    assert await is_live(relay, user.session)
    assert not await is_live(relay, other.session)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_stream_is_refused_without_its_body(relay: Relay, method: str) -> None:
    async with raw_http(relay) as connection:
        await connection.send(head("/api/sse", "Content-Length: 66", method=method))
        answer = await connection.answer(method)
    assert (answer.status_code, answer.headers["connection"]) == (401, "close")


async def test_a_body_that_no_handler_reads_leaves_the_connection_usable(relay: Relay) -> None:
    user = await relay.user()
    async with raw_http(relay) as connection:
        for size in (0, 10, 100_000):
            for credential, status in ((user.session, 201), ("broken", 401)):
                asked = head(
                    "/api/rt/ticket",
                    f"Authorization: Bearer {credential}",
                    f"Content-Length: {size}",
                )
                await connection.send(asked + b"x" * size)
                answer = await connection.answer()
                assert (size, answer.status_code) == (size, status)
                assert "connection" not in answer.headers


async def test_malformed_foreign_cookies_are_ignored(relay: Relay) -> None:
    user = await relay.user()
    mine = b"Cookie: relay_session=" + user.session.encode()
    own = b"Sec-Fetch-Site: same-origin"
    for odd in (b"; x=\xff", b"; \xe9", b"; =", b'; x="\\777', b"\r\nCookie: y=\xc3\x28"):
        async with raw_http(relay) as connection:
            await connection.send(
                b"\r\n".join([b"GET /api/me HTTP/1.1", b"Host: relay", own, mine + odd, b"", b""])
            )
            assert (await connection.answer("GET")).status_code == 200, odd


async def test_two_origin_headers_count_as_none(relay: Relay) -> None:
    user = await relay.user()
    fields = (f"Authorization: Bearer {user.session}", f"Origin: {relay.url}")
    for origins, status in ((fields[1:], 201), (fields[1:] * 2, 403)):
        async with raw_http(relay) as connection:
            await connection.send(head("/api/rt/ticket", fields[0], *origins, "Content-Length: 0"))
            assert (await connection.answer()).status_code == status


@pytest.mark.parametrize("blank", ["\xa0", "\x85", "\xa0 "])
def test_a_non_ascii_blank_is_no_white_space(blank: str) -> None:
    for header in (f"Bearer{blank}token", f"{blank}Bearer token", f"Bearer token{blank}"):
        with pytest.raises(Unauthorized):
            parse_bearer(header)
