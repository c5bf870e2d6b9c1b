"""Any bytes at all are an event or a problem: which one, and in which encoding."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import BadRequest, Invalid, Problem
from tests.support.envelopes import HEAD, event
from tests.support.parsed_events import parsed, refused


@given(body=st.binary(max_size=200))
def test_any_bytes_are_an_event_or_a_problem(body: bytes) -> None:
    for attempt in (body, event(body), HEAD + body, event(b'"' + body + b'"')):
        problem = refused(attempt)
        assert problem is None or problem.status in (400, 413, 422)


@given(
    places=st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=3)), min_size=1, max_size=4)
)
def test_any_broken_event_is_an_event_or_a_problem(places: list[tuple[int, bytes]]) -> None:
    body = event(b'{"a":["\\u00e9",1.5,"\xc3\xa9"],"b":null},"event_id":"e","task_id":"t"')
    for place, insert in places:
        body = body[:place] + insert + body[place + 1 :]
    if (problem := refused(body)) is not None:
        assert problem.status in (400, 413, 422)
        return
    payload = parsed(body).payload
    json.loads(payload)
    assert not {"\0", "\r", "\n"} & set(payload)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", BadRequest),
        (b"{", BadRequest),
        (event(b"{}") + b"x", BadRequest),
        (event(b"NaN"), BadRequest),
        (event(b"Infinity"), BadRequest),
        (event(b"01"), BadRequest),
        (event(b"'a'"), BadRequest),
        (event(b'"\n"'), BadRequest),
        (event(b'"a'), BadRequest),
        (2 * b"\xef\xbb\xbf" + event(b"{}"), BadRequest),
        (event(b"{}") + b"\xef\xbb\xbf", BadRequest),
        (b"\xef\xbb\xbf", BadRequest),
        (event(b'"\0"'), Invalid),
        (event(b'"\xff"'), Invalid),
        (event(b'"\xed\xa0\x80"'), Invalid),  # a surrogate, encoded
        (event(b'"\xc0\x80"'), Invalid),  # an overlong NUL
        (event(b'"\\ud800"'), Invalid),
        (event(b'"\\udc00\\ud800"'), Invalid),
        (event(b'{"\\ud800":1}'), Invalid),
        (b"[]", Invalid),
        (b'"event"', Invalid),
        (b"7", Invalid),
    ],
)
def test_invalid_json_and_invalid_events_are_distinguished(
    body: bytes, problem: type[Problem]
) -> None:
    with pytest.raises(problem) as refusal:
        parsed(body)
    assert type(refusal.value) is problem


def test_a_byte_order_mark_is_passed_over() -> None:
    """RFC 8259, 8.1, allows it."""
    assert parsed(b"\xef\xbb\xbf" + event(b'{"a":1}')).payload == '{"a":1}'
    assert type(refused(b"\xef\xbb\xbf" + event(b"{}}"))) is BadRequest


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_another_encoding_is_named(encoding: str) -> None:
    problem = refused(event(b"{}").decode().encode(encoding))
    assert isinstance(problem, Invalid)
    assert encoding[:6].upper() in problem.detail
