"""A payload arrives byte for byte, within bounds of its size and its nesting."""

import json

import trio

from tests.support.bodies import MAX_PAYLOAD_BYTES, TS, envelope
from tests.support.patience import PATIENCE
from tests.support.posts import named, send
from tests.support.relay_server import Relay, open_stream
from tests.support.stored_events import stored


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
