"""The payload passes as it is, within bounds of its size and its nesting."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import Invalid, PayloadTooLarge, Problem
from relay.ingest.envelope import MAX_NESTING, MAX_PAYLOAD_BYTES
from relay.ingest.structure import nests_too_deep
from tests.support.envelopes import HEAD, VALUES, event, spelled
from tests.support.parsed_events import parsed


@given(text=VALUES.flatmap(spelled))
def test_any_payload_passes_byte_for_byte_but_line_ends_between_tokens(text: str) -> None:
    payload = parsed(event(text.encode())).payload
    inner = text.strip(" \t\r\n")
    # inside strings JSON has no raw line ends, so these are between tokens
    assert payload == inner.replace("\r", " ").replace("\n", " ")
    assert json.loads(payload) == json.loads(text)


@pytest.mark.parametrize(
    "payload",
    [
        '"\\u0000"', '{"a":1,"a":2}', "1e400", "-0", "1.10", "[1 , 2]", '"\\/"', '"\\u00e9"',
        "12345678901234567890123456789", '"\u2028\u2029\x7f"', "null", "false", '""',
        '{"event_type":"x","ts":1,"payload":{},"event_id":1,"task_id":2}',
    ],
)  # fmt: skip
def test_a_payload_is_not_normalised(payload: str) -> None:
    assert parsed(event(payload.encode())).payload == payload


def test_a_surrogate_pair_is_accepted() -> None:
    assert parsed(event(b'"\\ud83d\\ude00"')).payload == '"\\ud83d\\ude00"'


@pytest.mark.parametrize(
    ("size", "accepted"),
    [(MAX_PAYLOAD_BYTES - 1, True), (MAX_PAYLOAD_BYTES, True), (MAX_PAYLOAD_BYTES + 1, False)],
)
@pytest.mark.parametrize("letter", ["a", "é"], ids=["ascii", "two bytes"])
def test_the_payloads_size_is_bounded_in_bytes_of_its_text(
    size: int, accepted: bool, letter: str
) -> None:
    letters, left = divmod(size - 2, len(letter.encode()))
    body = event(f'"{letter * letters}{"a" * left}"'.encode())
    if accepted:
        assert len(parsed(body).payload.encode()) == size
    else:
        with pytest.raises(PayloadTooLarge, match="65537 bytes; 65536 are allowed"):
            parsed(body)


@st.composite
def nested(draw: st.DrawFn, depth: int) -> str:
    """Arrays and objects exactly so deep, with shallow ones and brackets in strings beside."""
    text = draw(st.sampled_from(["0", '"[[{{"', '"\\"[[["', "[]", "{}"]))
    own = text in ("[]", "{}")
    for height in range(own, depth):
        low = height < 2  # too near the ground for something beside
        beside = draw(st.sampled_from(["", '"]}]}",', "[]," * (not low), '{"a":[]},' * (not low)]))
        text = (
            f"[{beside}{text}]"
            if draw(st.booleans())
            else f'{{"[":{"0" if low else "[]"},"x":{text}}}'
        )
    return text


@given(text=nested(MAX_NESTING))
def test_nesting_to_the_limit_passes(text: str) -> None:
    assert parsed(event(text.encode())).payload == text


@given(text=nested(MAX_NESTING + 1))
def test_nesting_past_the_limit_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        parsed(event(text.encode()))
    assert "nested deeper than 64" in str(refusal.value.errors or refusal.value.detail)


@given(value=VALUES, allowed=st.integers(0, 6))
def test_nesting_is_counted_as_a_reader_would(value: Any, allowed: int) -> None:
    def depth(value: Any) -> int:
        inner = value.values() if isinstance(value, dict) else value
        is_nest = isinstance(value, list | dict)
        return 1 + max(map(depth, inner), default=0) if is_nest else 0

    text = json.dumps(value, ensure_ascii=False).encode()
    assert nests_too_deep(text, allowed) == (depth(value) > allowed)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_a_bomb_of_brackets_is_refused_without_a_crash(opening: bytes) -> None:
    for body in (event(opening * 40_000), opening * 40_000, HEAD + opening * 40_000):
        with pytest.raises(Problem):
            parsed(body)
