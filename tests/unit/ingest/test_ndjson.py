"""NDJSON: one object a line, all or none. Line endings are in test_structure.py."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import BadRequest, Invalid, PayloadTooLarge, Problem
from relay.events import NewEvent
from relay.ingest.envelope import MAX_NESTING, MAX_PAYLOAD_BYTES
from relay.ingest.ndjson import MAX_BATCH_EVENTS, parse_batch
from relay.ingest.parsing import parse_event
from tests.support.envelopes import HEAD, NOW, event


def timed(ts: str) -> bytes:
    return b'{"event_type":"log","ts":"%s","payload":1}' % ts.encode()


async def test_a_batch_is_its_lines_in_order_without_blank_ones() -> None:
    body = b"\r\n".join([b"", event(b"1"), b"  ", event(b"2"), event(b"[\r3]"), b""])
    assert [one.payload for one in await parse_batch(body, NOW)] == ["1", "2", "[ 3]"]


async def test_a_byte_order_mark_is_passed_over_before_the_first_line_only() -> None:
    mark = b"\xef\xbb\xbf"
    body = b"\n".join([mark + event(b"1"), event(b"2")])
    assert [one.payload for one in await parse_batch(body, NOW)] == ["1", "2"]
    with pytest.raises(Invalid) as refusal:
        await parse_batch(b"\n".join([event(b"1"), mark + event(b"2")]), NOW)
    (error,) = refusal.value.errors
    assert (error.where, error.message) == ("line 2", "starts with a byte order mark")
    with pytest.raises(BadRequest):
        await parse_batch(mark, NOW)


async def test_a_batch_in_another_encoding_is_named_once() -> None:
    body = b"\n".join([event(b"1"), event(b"2")]).decode().encode("utf-16")
    with pytest.raises(Invalid, match="UTF-16") as refusal:
        await parse_batch(body, NOW)
    assert [error.where for error in refusal.value.errors] == ["body"]


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


@given(lines=st.lists(st.binary(max_size=40) | st.just(event(b"1")), max_size=5))
async def test_any_batch_is_events_or_a_problem(lines: list[bytes]) -> None:
    with suppress(BadRequest, Invalid, PayloadTooLarge):
        assert all(isinstance(one, NewEvent) for one in await parse_batch(b"\n".join(lines), NOW))


VALID = [
    *(event(b"1"), event(b'{"a":[null,"\\n\xc3\xa4"]}'), event(b'1,"event_id":"a"')),
    *(event(b'"x","task_id":"b","event_id":"c"'), event(b'{"ts":1}'), event(b"1") + b"\r"),
    *(timed("2026-02-28t23:59:60.123456789+23:59"), timed("1999-12-31T00:00:00z")),
    *(timed("2024-02-29T12:00:00Z"), timed("0001-01-01T00:00:00Z"), b" " + event(b"1")),
    event(b'"' + b"x" * (MAX_PAYLOAD_BYTES - 2) + b'"'),
    event(b"[" * MAX_NESTING + b"]" * MAX_NESTING),
]
# lines that are wrong, and pieces that look like lines where they are not
WRONG = [
    *(event(b"[" * 65 + b"]" * 65), event(b'"' + b"x" * MAX_PAYLOAD_BYTES + b'"')),
    *(event(b'1,"payload":2'), event(b'1,"\\u0074s":2'), event(b'"\\ud800"')),
    *(event(b'1,"event_id":""'), event(b'1,"event_id":"a b"'), event(b'1,"event_id":null')),
    *(event(b'1,"task_id":"' + b"x" * 129 + b'"'), event('1,"task_id":"ä"'.encode())),
    *(event(b'1,"task_id":"a\\nb"'), event(b'1,"event_id":"a\\tb"'), event(b'1,"more":1')),
    *(timed("2026-02-29T12:00:00Z"), timed("0000-01-01T12:00:00Z"), timed("2026-01-31")),
    *(timed("2026-01-31T12:00:00Z\\n2026-01-31T12:00:00Z"), timed("1900-02-29T12:00:00Z")),
    *(event(b'"\xff"'), event(b'"\0"'), event(b'"}\n{"'), event(b"1") * 2, HEAD, b"1}"),
    *(HEAD + b'{"a":', b'{"b":1}}}', b"{}", b"[]", b"}", b"{", HEAD + b"{}"),
    *(b',"event_id":"a"}', b'{"event_type":"log",', HEAD[1:] + b"1}"),
]


def expected(body: bytes) -> tuple[list[NewEvent], list[int]]:
    """Read line by line: the events, and the numbers of lines that are none."""
    events, wrong = [], []
    for number, line in enumerate(body.split(b"\n"), 1):
        if line.strip():
            try:
                events.append(parse_event(line, NOW, "given"))
            except Problem:
                wrong.append(number)
    return events, wrong


@given(
    lines=st.lists(st.sampled_from([*VALID, *VALID, *WRONG, b"", b" \t\r"]), max_size=6),
    end=st.sampled_from([b"", b"\n", b"\r\n", b"\n\n"]),
)
async def test_a_batch_equals_its_lines_parsed_one_by_one(lines: list[bytes], end: bytes) -> None:
    body = b"\n".join([event(b"0"), *lines]) + end
    events, wrong = expected(body)
    try:
        found = await parse_batch(body, NOW)
    except Invalid as refusal:
        named = [int(error.where.split()[1].rstrip(":")) for error in refusal.errors]
        assert sorted(set(named)) == wrong != []
    else:
        assert wrong == []
        own = [one for one in found if not one.has_generated_id]
        assert own == [one for one in events if one.id != "given"]
        assert [gist(one) for one in found] == [gist(one) for one in events]


def gist(one: NewEvent) -> tuple[object, ...]:
    """All of it but its id, which may be made by chance."""
    return one.event_type, one.task_id, one.ts, one.payload, one.received_at


@pytest.mark.parametrize("wrong", WRONG)
async def test_nothing_wrong_among_valid_lines_is_overlooked(wrong: bytes) -> None:
    body = b"\n".join([event(b"1"), wrong, event(b"2")])
    with pytest.raises(Invalid) as refusal:
        await parse_batch(body, NOW)
    assert {error.where.partition(":")[0] for error in refusal.value.errors} >= {"line 2"}


async def test_lines_of_a_signed_batch_get_ids_by_their_places_among_all_lines() -> None:
    own = event(b'1,"event_id":"own"')
    first = await parse_batch(b"\n".join([event(b"1"), b"", own, event(b"2")]), NOW, "signed")
    again = await parse_batch(b"\r\n".join([event(b"1"), b" ", own, event(b"2")]), NOW, "signed")
    moved = await parse_batch(b"\n".join([event(b"1"), own, event(b"2")]), NOW, "signed")
    other = await parse_batch(b"\n".join([event(b"1"), own, event(b"2")]), NOW, "another")
    assert first == again
    assert first[1].id == "own"
    assert [one.has_generated_id for one in first] == [False] * 3
    assert moved[0].id == first[0].id
    assert len({moved[2].id, first[0].id, first[2].id, other[0].id, other[2].id, "own"}) == 6
