"""NDJSON: read together where all is plain, line by line where it is not, with one outcome."""

from contextlib import suppress
from datetime import UTC, datetime
from unittest.mock import ANY

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.errors import BadRequest, Invalid, PayloadTooLarge
from relay.events import NewEvent
from relay.ingest.envelope import MAX_NESTING, MAX_PAYLOAD
from relay.ingest.ndjson import MAX_BATCH_EVENTS, parse_batch, parse_each, parse_together

# a busy machine is no failure
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
HEAD = b'{"event_type":"log","ts":"2026-01-31T12:00:00Z","payload":'


def event(payload: bytes) -> bytes:
    return HEAD + payload + b"}"


def timed(ts: str) -> bytes:
    return b'{"event_type":"log","ts":"%s","payload":1}' % ts.encode()


async def test_a_batch_is_its_lines_in_order_blank_ones_passed_over() -> None:
    body = b"\r\n".join([b"", event(b"1"), b"  ", event(b"2"), event(b"[\r3]"), b""])
    assert [one.payload for one in await parse_batch(body, NOW)] == ["1", "2", "[ 3]"]


async def test_a_batch_names_each_bad_line_by_its_number() -> None:
    body = b"\n".join([event(b"1"), b"{}", b"", b"nonsense", event(b"2") + b"x", event(b"3")])
    with pytest.raises(Invalid) as refusal:
        await parse_batch(body, NOW)
    named = [error.where for error in refusal.value.errors]
    assert named[:3] == ["line 2: event_type", "line 2: ts", "line 2: payload"]
    assert named[3:] == ["line 4: body", "line 5: body"]


async def test_a_batch_holds_no_more_events_than_it_may() -> None:
    most = b"\n".join([event(b"1")] * MAX_BATCH_EVENTS)
    assert len(await parse_batch(most, NOW)) == MAX_BATCH_EVENTS
    with pytest.raises(PayloadTooLarge):
        await parse_batch(most + b"\n" + event(b"1"), NOW)
    with pytest.raises(BadRequest):
        await parse_batch(b" \n\n", NOW)


@UNHURRIED
@given(lines=st.lists(st.binary(max_size=40) | st.just(event(b"1")), max_size=5))
async def test_any_batch_is_events_or_a_problem(lines: list[bytes]) -> None:
    with suppress(BadRequest, Invalid, PayloadTooLarge):
        assert all(isinstance(one, NewEvent) for one in await parse_batch(b"\n".join(lines), NOW))


PLAIN = {
    "events": [event(b"1"), event(b'{"a":[null,"\\n\xc3\xa4"]}')],
    "names": [event(b'1,"event_id":"a"'), event(b'"x","task_id":"b","event_id":"c"'), event(b"2")],
    "times": [timed("2026-02-28t23:59:60.123456789+23:59"), timed("1999-12-31T00:00:00z")],
    "a payload as large as may be": [event(b'"' + b"x" * (MAX_PAYLOAD - 2) + b'"')],
    "one as deep as may be": [event(b"[" * MAX_NESTING + b"]" * MAX_NESTING)],
    "many": [event(b"1")] * MAX_BATCH_EVENTS,
}


@pytest.mark.parametrize("batch_id", [None, "given"])
@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("what", PLAIN)
async def test_what_is_plain_is_read_together(what: str, end: bytes, batch_id: str | None) -> None:
    body = b"\n".join(PLAIN[what]) + end
    together = parse_together(body, NOW, batch_id)
    assert together is not None
    assert gist(together) == gist(await parse_each(body, NOW, batch_id))


def gist(events: list[NewEvent]) -> list[tuple[object, ...]]:
    """All of them but the ids that were made by chance."""
    return [
        (ANY if one.made else one.id, one.event_type, one.task_id, one.ts, one.payload, one.made)
        for one in events
    ]


# lines that are wrong or unusual, and pieces that look like lines where they are not
ODD = [
    *(event(b"[" * 65 + b"]" * 65), event(b'"' + b"x" * MAX_PAYLOAD + b'"')),
    *(event(b'{"ts":1}'), event(b'1,"payload":2'), event(b'1,"\\u0074s":2'), event(b'"\\ud800"')),
    *(event(b'1,"event_id":""'), event(b'1,"event_id":"a b"'), event(b'1,"event_id":null')),
    *(event(b'1,"task_id":"' + b"x" * 129 + b'"'), event('1,"task_id":"ä"'.encode())),
    *(event(b'1,"task_id":"a\\nb"'), event(b'1,"event_id":"a\\tb"'), event(b'1,"more":1')),
    *(timed("2026-02-29T12:00:00Z"), timed("0000-01-01T12:00:00Z"), timed("2026-01-31")),
    timed("2026-01-31T12:00:00Z\\n2026-01-31T12:00:00Z"),
    *(event(b'"\xff"'), event(b'"\0"'), event(b'"}\n{"'), event(b"1") + b"\r", b" " + event(b"1")),
    *(event(b"1") * 2, HEAD, b"1}", HEAD + b'{"a":', b'{"b":1}}}', b"{}", b"[]", b"", b"}", b"{"),
    *(HEAD + b"{}", b',"event_id":"a"}', b'{"event_type":"log",', HEAD[1:] + b"1}"),
]


@UNHURRIED
@given(
    lines=st.lists(st.sampled_from([*ODD, *PLAIN["events"], *PLAIN["names"]]), max_size=6),
    end=st.sampled_from([b"", b"\n", b"\n\n"]),
)
async def test_what_is_read_together_is_what_line_by_line_would_be(
    lines: list[bytes], end: bytes
) -> None:
    body = b"\n".join(lines) + end
    together = parse_together(body, NOW, "given")
    if together is not None:
        assert together == await parse_each(body, NOW, "given")


@pytest.mark.parametrize("odd", ODD)
async def test_nothing_odd_among_plain_lines_is_overlooked(odd: bytes) -> None:
    body = b"\n".join([event(b"1"), odd, event(b"2")])
    assert parse_together(body, NOW, None) is None
