"""What the ingestion route accepts, byte for byte, and how it refuses everything else."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
import trio
from trio.testing import MockClock

from tests.support.bodies import MAX_BODY_BYTES, MAX_PAYLOAD_BYTES, TS, envelope
from tests.support.client.protocol import head
from tests.support.clock import pass_by
from tests.support.patience import PATIENCE
from tests.support.relay_server import Relay, User, bearer, open_stream, raw_http, running_relay


async def send(user: User, body: Any, **headers: str) -> httpx.Response:
    given = {"Content-Type": "application/json", **bearer(await user.hook()), **headers}
    return await user.relay.http.post("/api/webhook/cli", content=body, headers=given)


async def named(user: User, body: bytes) -> list[str]:
    """The fields that a refusal names."""
    answer = await send(user, body)
    assert answer.status_code == 422, answer.text
    return sorted(error["where"] for error in answer.json()["errors"])


async def stored(user: User) -> list[dict[str, Any]]:
    answer = await user.call("GET", "/api/events")
    events: list[dict[str, Any]] = answer.json()["events"]
    return events


# -- whole requests


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
        ("not compressed, said aloud", envelope(), {"Content-Encoding": "identity"}, 415),
    ]
    for what, body, headers, status in wrong:
        answer = await send(user, body, **headers)
        assert (what, answer.status_code) == (what, status), answer.text
        assert answer.headers["Content-Type"] == "application/problem+json", what
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


async def test_a_slow_body_is_refused_with_408(database_url: str, clock: MockClock) -> None:
    async with running_relay(database_url, RELAY_BODY_TIMEOUT="600") as relay:
        user = await relay.user()
        await user.publish(1)  # from now on its token is known: nothing but the body is waited for
        hook = await user.hook()
        async with raw_http(relay) as connection:
            await connection.send(
                head(
                    "/api/webhook/cli",
                    f"Authorization: Bearer {hook}",
                    "Content-Type: application/json",
                    "Content-Length: 100",
                )
                + b"{"
            )
            await pass_by(clock, 600)
            answer = await connection.answer()
        assert answer.status_code == 408
        assert answer.json()["code"] == "request_timeout"


async def test_expect_100_continue_is_answered_with_100(relay: Relay) -> None:
    user = await relay.user()
    hook = await user.hook()
    fixed = (f"Authorization: Bearer {hook}", "Content-Type: application/json")
    async with raw_http(relay) as connection:
        await connection.send(
            head(
                "/api/webhook/cli",
                *fixed,
                "Expect: 100-continue",
                f"Content-Length: {len(envelope())}",
            )
        )
        with trio.fail_after(PATIENCE):
            assert (await connection.receive()).startswith(b"HTTP/1.1 100")
        await connection.send(envelope())
        assert (await connection.answer()).status_code == 200


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("no credential", 401),
        ("a bad credential", 401),
        ("a watcher's", 403),
        ("wrong type", 415),
        ("too large", 413),
    ],
)
async def test_expect_100_continue_is_refused_before_the_body(
    relay: Relay, fault: str, status: int
) -> None:
    user = await relay.user()
    token = {
        "no credential": None,
        "a bad credential": "x.y.z",
        "a watcher's": (await user.token(scopes=["watch"]))["token"],
    }.get(fault, await user.hook())
    async with raw_http(relay) as connection:
        await connection.send(
            head(
                "/api/webhook/cli",
                *((f"Authorization: Bearer {token}",) if token else ()),
                f"Content-Type: {'text/plain' if fault == 'wrong type' else 'application/json'}",
                "Expect: 100-Continue",
                f"Content-Length: {2**20 if fault == 'too large' else 100}",
            )
        )
        with trio.fail_after(PATIENCE):
            assert not (first := await connection.receive()).startswith(b"HTTP/1.1 100")
        assert first.startswith(b"HTTP/1.1 %d" % status)
        assert b"\r\nconnection: close\r\n" in first.lower()  # the body may come or not


async def test_a_missing_body_after_100_continue_is_refused_with_408(
    database_url: str, clock: MockClock
) -> None:
    async with running_relay(database_url, RELAY_BODY_TIMEOUT="600") as relay:
        hook = await (await relay.user()).hook()
        async with raw_http(relay) as connection:
            await connection.send(
                head(
                    "/api/webhook/cli",
                    f"Authorization: Bearer {hook}",
                    "Content-Type: application/json",
                    "Expect: 100-continue",
                    "Content-Length: 100",
                )
            )
            with trio.fail_after(PATIENCE):
                assert (await connection.receive()).startswith(b"HTTP/1.1 100")
            await pass_by(clock, 600)
            assert (await connection.answer()).json()["code"] == "request_timeout"


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


# -- fields


async def test_all_invalid_fields_are_listed_at_once(relay: Relay) -> None:
    user = await relay.user()
    wrong: list[tuple[bytes, list[str]]] = [
        (b"{}", ["event_type", "payload", "ts"]),
        (envelope(event_type='"task_done"'), ["event_type"]),
        (envelope(event_type='"LOG"'), ["event_type"]),
        (envelope(event_type="7", ts="7"), ["event_type", "ts"]),
        (envelope(event_type="null", ts="null"), ["event_type", "ts"]),
        (envelope(event_id="7", task_id="7"), ["event_id", "task_id"]),
        (envelope(event_id="null", task_id="null"), ["event_id", "task_id"]),
        (envelope(event_id='["a"]', ts="{}"), ["event_id", "ts"]),
        (envelope(extra="1", user_id='"x"'), ["extra", "user_id"]),
        (envelope(Event_Type='"log"'), ["Event_Type"]),
        (envelope(ts='"today"', task_id='""', more="[]"), ["more", "task_id", "ts"]),
        (b'{"ts":"x","event_id":" ","seq":1}', ["event_id", "event_type", "payload", "seq", "ts"]),
    ]
    for body, fields in wrong:
        assert (body, await named(user, body)) == (body, fields)
    assert await stored(user) == []


@pytest.mark.parametrize("name", ["event_type", "ts", "payload", "event_id", "task_id"])
async def test_a_doubled_field_is_refused_by_name_in_any_spelling(relay: Relay, name: str) -> None:
    user = await relay.user()
    value = {"event_type": '"log"', "ts": f'"{TS}"', "payload": "{}"}.get(name, '"a"')
    body = envelope(**{name: value})
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in name)
    spellings = (name, escaped, f"\\u{ord(name[0]):04X}{name[1:]}")
    for spelling in spellings:
        doubled = f'{{"{spelling}":{value},'.encode() + body[1:]
        assert (spelling, await named(user, doubled)) == (spelling, [name])
    # one alone may be spelled so
    alone = body.replace(f'"{name}"'.encode(), f'"{escaped}"'.encode())
    assert (await send(user, alone)).status_code == 200
    assert len(await stored(user)) == 1


async def test_a_time_is_rfc_3339_and_passed_on_as_given(relay: Relay) -> None:
    user = await relay.user()
    good = [
        "2026-01-31T12:00:00Z",
        "2026-01-31t12:00:00z",
        "2026-01-31T12:00:00+00:00",
        "2026-01-31T12:00:00-00:00",
        "2026-01-31T23:59:59.9+14:00",
        "2026-01-31T12:00:00.123456789-23:59",
        "1985-04-12T23:20:50.52Z",
        "2026-01-31T12:00:00.12345678901234567890Z",
        "1990-12-31T23:59:60Z",
        "2024-02-29T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ]
    bad = [
        "",
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-01-31 12:00:00Z",
        "2026-01-31T12:00Z",
        "2026-01-31T12:00:00.Z",
        "2026-01-31T12:00:00,5Z",
        "2026-01-31T12:00:00+0000",
        "2026-01-31T12:00:00+24:00",
        "2026-01-31T24:00:00Z",
        "2026-01-31T12:60:00Z",
        "2026-01-31T12:00:61Z",
        "2026-02-30T12:00:00Z",
        "2025-02-29T12:00:00Z",
        "2026-13-01T12:00:00Z",
        "2026-1-31T12:00:00Z",
        "26-01-31T12:00:00Z",
        "2026-01-31T12:00:00Z ",
        " 2026-01-31T12:00:00Z",
        "2026-01-31T12:00:00Z\\n",
        "٢٠٢٦-01-31T12:00:00Z",
        "1769860800",
    ]
    for ts in bad:
        assert (ts, await named(user, envelope(ts=f'"{ts}"'))) == (ts, ["ts"])
    assert await named(user, envelope(ts="1769860800")) == ["ts"]
    for ts in good:
        assert (await send(user, envelope(ts=f'"{ts}"'))).status_code == 200, ts
    assert [event["ts"] for event in await stored(user)] == good


@pytest.mark.parametrize("name", ["event_id", "task_id"])
async def test_an_id_is_1_to_128_printable_ascii_characters(relay: Relay, name: str) -> None:
    user = await relay.user()
    every = "".join(map(chr, range(0x21, 0x7F)))
    for good in ("a", "x" * 128, every):
        assert (await send(user, envelope(**{name: json.dumps(good)}))).status_code == 200, good
    for bad in ("", "x" * 129, "a b", " a", "a ", "a\n", "\t", "\x00", "\x7f", "é", "\u2028", "😀"):
        assert (bad, await named(user, envelope(**{name: json.dumps(bad)}))) == (bad, [name])
    expected = "id" if name == "event_id" else name
    assert [event[expected] for event in await stored(user)] == ["a", "x" * 128, every]


# -- payloads


async def test_a_payload_of_65_536_bytes_passes_and_of_65_537_does_not(relay: Relay) -> None:
    user = await relay.user()
    for filler in ("x", "é"):
        size = len(filler.encode())
        exact = '"' + filler * ((MAX_PAYLOAD_BYTES - 2) // size) + '"'
        assert len(exact.encode()) == MAX_PAYLOAD_BYTES
        assert (await send(user, envelope(payload=exact))).status_code == 200
        answer = await send(user, envelope(payload="[" + exact[:-1] + '"'))
        assert answer.status_code == 400  # not even JSON
        answer = await send(user, envelope(payload='"x' + exact[1:]))
        assert answer.status_code == 413
        assert str(MAX_PAYLOAD_BYTES) in answer.json()["detail"]
        assert answer.json()["code"] == "payload_too_large"
    assert [len(event["payload"].encode()) for event in await stored(user)] == [
        MAX_PAYLOAD_BYTES - 2
    ] * 2


async def test_white_space_around_a_payload_is_not_counted(relay: Relay) -> None:
    user = await relay.user()
    exact = '"' + "x" * (MAX_PAYLOAD_BYTES - 2) + '"'
    assert (await send(user, envelope(payload=f"  {exact}\t "))).status_code == 200


async def test_a_payload_nests_64_levels_and_no_deeper(relay: Relay) -> None:
    user = await relay.user()
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        good = opening * 63 + "{}" + closing * 63
        assert (await send(user, envelope(payload=good))).status_code == 200
        for depth in (64, 500, 10_000):
            deep = opening * depth + "{}" + closing * depth
            answer = await send(user, envelope(payload=deep))
            assert (depth, answer.status_code) == (depth, 422)
    brackets = json.dumps("[" * 1000)  # in a string they nest nothing
    assert (await send(user, envelope(payload=brackets))).status_code == 200
    assert len(await stored(user)) == 3


async def test_deep_nesting_is_listed_with_other_faults(relay: Relay) -> None:
    user = await relay.user()
    for depth, ts, expected in (
        (65, TS, ["payload"]),
        (65, "x", ["payload", "ts"]),
        (50_000, TS, ["payload"]),
    ):
        body = envelope(ts=f'"{ts}"', payload="[" * depth + "]" * depth)
        assert (depth, await named(user, body)) == (depth, expected)


AS_SENT = [
    "null",
    "true",
    '"text"',
    "0",
    "-0",
    "1.0",
    "1E+5",
    "1e400",
    "123456789012345678901234567890.000",
    "[9007199254740993, -170141183460469231731687303715884105729]",
    '{"a":1,"a":2,"a":{"b":null,"b":null}}',
    '{"event_id":"x","ts":1,"payload":{"payload":[]}}',
    '"\\u0000 \\u0001 \\u001f \\u007f"',
    '"\\/ \\" \\\\ \\b\\f\\n\\r\\t"',
    '"\\ud83d\\ude00 \\\\ud800"',
    '"é 😀 \u2028 \u2029 \ufeff \u0085 \x7f"',
    '{ "spaced" :\t[ 1 , 2 ] }',
    '{"html":"</script><!--"}',
    '"event: forged\\ndata: forged\\n\\n"',
    "[" * 64 + "]" * 64,
]


async def test_a_payload_arrives_byte_for_byte_on_every_transport(relay: Relay) -> None:
    user = await relay.user()
    async with (
        open_stream(relay, "websocket", user.session) as websocket,
        open_stream(relay, "sse", user.session) as sse,
    ):
        await websocket.hello()
        await sse.hello()
        for payload in AS_SENT:
            assert (await send(user, envelope(payload=payload))).status_code == 200, payload
        page = (await user.call("GET", "/api/events")).content.decode()
        for payload in AS_SENT:
            member = f'"payload":{payload}}}'
            with trio.fail_after(PATIENCE):
                assert (await websocket.text()).endswith(member)
                lines = await sse.block()
            assert [line.partition(":")[0] for line in lines] == ["id", "data"]
            assert lines[1].endswith(member)
            assert member in page


async def test_line_ends_between_tokens_become_spaces(relay: Relay) -> None:
    user = await relay.user()
    sent = '{\r\n"a":\r[1,\n\n2]\t}'
    async with open_stream(relay, "sse", user.session) as stream:
        await stream.hello()
        assert (await send(user, envelope(payload=sent))).status_code == 200
        lines = await stream.block()
    assert len(lines) == 2
    assert lines[1].endswith('"payload":{  "a": [1,  2]\t}}')
    page = (await user.call("GET", "/api/events")).text
    assert '"payload":{  "a": [1,  2]\t}}' in page


# -- idempotency


@pytest.mark.parametrize("transport", ["websocket", "sse"])
async def test_the_same_event_id_fifty_times_at_once_is_one_event(
    relay: Relay, transport: str
) -> None:
    user = await relay.user()
    await user.hook()
    receipts: list[dict[str, Any]] = []

    async def post(number: int) -> None:
        receipts.append(await user.posted(event_id="same", payload=number))

    async with open_stream(relay, transport, user.session) as stream:
        await stream.hello()
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(post, number)
        await user.posted(event_id="next")
        assert [event["id"] for event in await stream.events(2)] == ["same", "next"]
    assert sorted(receipt["duplicate"] for receipt in receipts) == [False] + [True] * 49
    assert {(r["id"], r["seq"], r["cursor"]) for r in receipts} == {
        ("same", 1, receipts[0]["cursor"])
    }


async def test_the_first_body_of_an_event_id_is_kept(relay: Relay) -> None:
    user = await relay.user()
    first = await user.posted(event_id="e", event_type="task_started", payload="first")
    again = await user.posted(event_id="e", event_type="log", payload="second")
    assert again == {**first, "duplicate": True}
    assert [event["payload"] for event in await stored(user)] == ["first"]


async def test_event_ids_are_scoped_to_their_user(relay: Relay) -> None:
    one, other = await relay.user(), await relay.user()
    await one.posted()
    mine, theirs = await one.posted(event_id="e"), await other.posted(event_id="e")
    assert (mine["seq"], mine["duplicate"]) == (2, False)
    assert (theirs["seq"], theirs["duplicate"]) == (1, False)
    assert mine["cursor"] != theirs["cursor"]


async def test_event_ids_are_shared_by_all_tokens_of_a_user(relay: Relay) -> None:
    user = await relay.user()
    other = (await user.token(scopes=["publish"]))["token"]
    assert (await user.posted(event_id="e"))["duplicate"] is False
    assert (await user.posted(event_id="e", hook=other))["duplicate"] is True


async def test_without_an_event_id_the_server_makes_a_uuid_7(relay: Relay) -> None:
    user = await relay.user()
    ids = [receipt["id"] for receipt in await user.publish(3)]
    assert [UUID(made).version for made in ids] == [7, 7, 7]
    assert ids == sorted(set(ids))
    assert [event["id"] for event in await stored(user)] == ids
