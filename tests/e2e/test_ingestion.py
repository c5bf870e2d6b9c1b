"""What the ingestion route accepts, and how it refuses everything else."""

from collections.abc import AsyncIterator

from tests.support.bodies import MAX_BODY_BYTES, envelope
from tests.support.client.protocol import head
from tests.support.posts import send
from tests.support.relay_server import Relay, raw_http
from tests.support.stored_events import stored


async def test_a_request_is_refused_by_its_first_fault(relay: Relay) -> None:
    user = await relay.user()
    wrong: list[tuple[str, bytes, dict[str, str], int]] = [
        ("no JSON", b"hello", {}, 400),
        ("nothing", b"", {}, 400),
        ("half of it", envelope()[:-1], {}, 400),
        ("more than it", envelope() + b"{}", {}, 400),
        ("two byte order marks", 2 * b"\xef\xbb\xbf" + envelope(), {}, 400),
        ("UTF-16", envelope().decode().encode("utf-16"), {}, 422),
        ("NaN", envelope(payload="NaN"), {}, 400),
        ("deep NaN", envelope(payload='{"a":[-Infinity]}'), {}, 400),
        ("single quotes", envelope(payload="'a'"), {}, 400),
        ("raw control character", envelope(payload='"\x01"'), {}, 400),
        ("raw line end in a string", envelope(payload='"a\nb"'), {}, 400),
        ("broken escape", envelope(payload='"\\u12x4"'), {}, 400),
        ("leading zero", envelope(payload="[01]"), {}, 400),
        ("an array", b"[" + envelope() + b"]", {}, 422),
        ("null", b"null", {}, 422),
        ("raw NUL", envelope(payload='"\x00"'), {}, 422),
        ("NUL between tokens", envelope() + b"\x00", {}, 422),
        ("lone surrogate", envelope(payload='"\\ud800"'), {}, 422),
        ("lone low surrogate", envelope(payload='["\\uDC00x"]'), {}, 422),
        ("pair the wrong way round", envelope(payload='"\\ude00\\ud83d"'), {}, 422),
        ("lone surrogate in a name", envelope(payload='{"\\ud83d":1}'), {}, 422),
        ("cut UTF-8", envelope(payload='"é"')[:-3] + b'"}', {}, 422),
        ("overlong UTF-8", envelope().replace(b"{}", b'"\xc0\x80"'), {}, 422),
        ("surrogate in UTF-8", envelope().replace(b"{}", b'"\xed\xa0\x80"'), {}, 422),
        ("Latin-1", envelope().replace(b"{}", b'"\xe9"'), {}, 422),
        ("form", envelope(), {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ("text", envelope(), {"Content-Type": "text/plain"}, 415),
        ("another JSON", envelope(), {"Content-Type": "application/vnd.api+json"}, 415),
        ("another charset", envelope(), {"Content-Type": "application/json; charset=utf-16"}, 415),
        ("no type", envelope(), {"Content-Type": ""}, 415),
        ("compressed", envelope(), {"Content-Encoding": "gzip"}, 415),
        ("an empty coding", envelope(), {"Content-Encoding": ""}, 415),
        ("not compressed, said aloud", envelope(), {"Content-Encoding": "identity"}, 415),
    ]
    for what, body, headers, status in wrong:
        answer = await send(user, body, **headers)
        assert (what, answer.status_code) == (what, status), answer.text
        assert answer.headers["Content-Type"] == "application/problem+json", what
        named = [error["where"] for error in answer.json().get("errors", [])]
        assert (what, bool(named)) == (what, status == 422)
    assert await stored(user) == []


async def test_utf_8_may_be_named_as_the_charset(relay: Relay) -> None:
    user = await relay.user()
    for charset in ("utf-8", "UTF-8", '"utf-8"'):
        answer = await send(
            user, envelope(), **{"Content-Type": f"application/json; charset={charset}"}
        )
        assert answer.status_code == 200, charset


async def test_publishing_needs_a_token_with_that_scope(relay: Relay) -> None:
    user = await relay.user()
    watcher = (await user.token(scopes=["watch"]))["token"]
    answers = [
        (await send(user, envelope(), Authorization=credential)).status_code
        for credential in ("Bearer broken", f"Bearer {user.session}", f"Bearer {watcher}")
    ]
    assert answers == [401, 403, 403]
    assert (await relay.http.post("/api/webhook/cli", content=envelope())).status_code == 401


async def test_a_body_of_exactly_the_limit_is_read(relay: Relay) -> None:
    user = await relay.user()
    assert (await send(user, envelope().ljust(MAX_BODY_BYTES))).status_code == 200
    answer = await send(user, envelope().ljust(MAX_BODY_BYTES + 1))
    assert answer.status_code == 413
    assert str(MAX_BODY_BYTES) in answer.json()["detail"]


async def test_a_body_declared_too_large_is_refused_unread(relay: Relay) -> None:
    user = await relay.user()
    hook = await user.hook()
    async with raw_http(relay) as connection:
        await connection.send(
            head(
                "/api/webhook/cli",
                f"Authorization: Bearer {hook}",
                "Content-Type: application/json",
                "Content-Length: 10000000000",
            )
        )
        assert (await connection.answer()).status_code == 413


async def test_a_body_too_large_in_chunks_is_read_no_further_than_needed(relay: Relay) -> None:
    user = await relay.user()
    hook = await user.hook()
    async with raw_http(relay) as connection:
        await connection.send(
            head(
                "/api/webhook/cli",
                f"Authorization: Bearer {hook}",
                "Content-Type: application/json",
                "Transfer-Encoding: chunked",
            )
        )
        for _ in range(9):  # and no last chunk: the answer must not wait for one
            await connection.send(b"4000\r\n" + b" " * 0x4000 + b"\r\n")
        answer = await connection.answer()
    assert answer.status_code == 413
    assert str(MAX_BODY_BYTES) in answer.json()["detail"]


async def test_a_chunked_body_within_the_limit_is_an_event(relay: Relay) -> None:
    user = await relay.user()

    async def pieces() -> AsyncIterator[bytes]:
        for byte in envelope():
            yield bytes((byte,))

    assert (await send(user, pieces())).status_code == 200


async def test_a_refusal_leaves_the_connection_reusable(relay: Relay) -> None:
    user = await relay.user()
    hook = await user.hook()
    fixed = (f"Authorization: Bearer {hook}", f"Content-Length: {len(envelope())}")
    async with raw_http(relay) as connection:
        for content_type, status in (("text/plain", 415), ("application/json", 200)):
            await connection.send(
                head("/api/webhook/cli", *fixed, f"Content-Type: {content_type}") + envelope()
            )
            assert (await connection.answer()).status_code == status
