"""From bytes to an event: a strict envelope, an untouched payload."""

import base64
import hashlib
import hmac
import json
import re
from collections import Counter
from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.auth.webhook_signatures import (
    MAX_SIGNATURES,
    TIMESTAMP_TOLERANCE_SECONDS,
    BadSignature,
    verify_signature,
)
from relay.errors import BadRequest, Invalid, PayloadTooLarge, Problem, safe_name
from relay.events import EVENT_TYPES, NewEvent
from relay.ingest.envelope import MAX_NESTING, MAX_PAYLOAD_BYTES, Envelope
from relay.ingest.parsing import parse_event
from relay.ingest.structure import nests_too_deep
from relay.ingest.values import is_time
from tests.support.envelopes import BETWEEN, FIELDS, HEAD, NOW, VALUES, event, spelled


def parsed(body: bytes) -> NewEvent:
    return parse_event(body, NOW)


def refused(body: bytes) -> Problem | None:
    """The problem that a body is; None for one that is accepted."""
    try:
        parsed(body)
    except Problem as problem:
        return problem
    return None


def faults(body: bytes) -> list[str]:
    """Which fields are at fault; none for a body that is accepted."""
    problem = refused(body)
    return [] if problem is None else [error.where for error in problem.errors]


# -- the payload passes as it is


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


# -- whatever else comes


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


def test_a_surrogate_pair_is_accepted() -> None:
    assert parsed(event(b'"\\ud83d\\ude00"')).payload == '"\\ud83d\\ude00"'


# -- the envelope, against a slow reading of it

GOOD: dict[str, st.SearchStrategy[Any]] = {
    "event_type": st.sampled_from(EVENT_TYPES),
    "ts": st.sampled_from(["2026-01-31T12:00:00Z", "2026-01-31t12:00:00.123456+05:30"]),
    "payload": st.sampled_from([{}, [], None, 7, {"ts": "x", "event_id": "y"}, "event_type"]),
    "event_id": st.sampled_from(["e", "!" * 128, "a/b:c~"]),
    "task_id": st.sampled_from(["build", "x" * 128]),
}
BAD: dict[str, st.SearchStrategy[Any]] = {
    "event_type": st.sampled_from(["", "Log", "done", 7, None, ["log"]]),
    "ts": st.sampled_from(["", "2026-01-31", "2026-02-30T12:00:00Z", "2026-01-31T12:00:00", 7]),
    "payload": st.nothing(),
    "event_id": st.sampled_from(["", "a b", "é", "x" * 129, "a\n", 7, None]),
    "task_id": st.sampled_from(["", "\t", "x" * 129, 0, None, {}]),
}
STRANGE = st.sampled_from(["id", "Payload", "payload ", "", "event_type\x00", "type"])


@st.composite
def envelopes(draw: st.DrawFn) -> tuple[str, list[tuple[str, Any]]]:
    """An object's text and its pairs: good ones, with now and then a fault of each kind."""
    names = [name for name in FIELDS if draw(st.integers(0, 9)) < 9]
    names += draw(st.lists(st.sampled_from(FIELDS), max_size=1))
    names += draw(st.lists(STRANGE, max_size=1))
    pairs = []
    for name in draw(st.permutations(names)):
        values: st.SearchStrategy[Any] = GOOD.get(name, st.just(1))
        if draw(st.integers(0, 9)) == 0:
            values = BAD.get(name, st.just(1)) | values
        pairs.append((name, draw(values)))

    def key(name: str) -> str:
        """The same name, at times spelled with an escape."""
        text = json.dumps(name)
        if name and draw(st.integers(0, 4)) == 0:
            text = f'"\\u{ord(name[0]):04x}{text[2:]}'
        return text

    blank = draw(BETWEEN)
    members = f",{blank}".join(f"{key(name)}{blank}:{json.dumps(value)}" for name, value in pairs)
    return f"{{{blank}{members}}}", pairs


def reference(pairs: list[tuple[str, Any]]) -> set[str]:
    """Which fields are at fault, read slowly."""
    count = Counter(name for name, _ in pairs)
    last = dict(pairs)
    wrong = {name for name in ("event_type", "ts", "payload") if not count[name]}
    wrong |= {name for name in count if name not in FIELDS or count[name] > 1}
    if "event_type" in last and last["event_type"] not in EVENT_TYPES:
        wrong.add("event_type")
    if "ts" in last and not (isinstance(last["ts"], str) and _is_moment(last["ts"])):
        wrong.add("ts")
    for name in ("event_id", "task_id"):
        value = last.get(name, "fine")
        fine = isinstance(value, str) and all("!" <= letter <= "~" for letter in value)
        if not fine or not 1 <= len(value) <= 128:
            wrong.add(name)
    return wrong


def _is_moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text.upper()).tzinfo is not None
    except ValueError:
        return False


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("paylaod", "paylaod"),
        ("x" * 32, "x" * 32),
        ("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9", "eyJhbGci..."),
        ("a\nb\x7f", "a?b?"),
        ("é", "\\xe9"),
        ("\ud800", "\\ud800"),
    ],
)
def test_an_unknown_fields_name_is_echoed_sanitised(name: str, shown: str) -> None:
    assert safe_name(name) == shown


@given(made=envelopes())
def test_exactly_the_faults_of_an_envelope_are_listed(
    made: tuple[str, list[tuple[str, Any]]],
) -> None:
    text, pairs = made
    wrong = reference(pairs)
    assert set(faults(text.encode())) == {safe_name(name) for name in wrong}
    if not wrong:
        values = dict(pairs)
        found = parsed(text.encode())
        assert (found.event_type, found.ts) == (values["event_type"], values["ts"])
        assert found.task_id == values.get("task_id")
        assert found.id == values.get("event_id", found.id)
        assert json.loads(found.payload) == values["payload"]
        assert found.received_at == NOW


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("escaped", [False, True])
def test_a_doubled_field_is_refused_by_name_in_any_spelling(name: str, escaped: bool) -> None:
    given = {"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": 0, "event_id": "e"}
    value = json.dumps({**given, "task_id": "t"}[name])
    again = f"\\u{ord(name[0]):04x}{name[1:]}" if escaped else name
    body = json.dumps({**given, "task_id": "t"})[:-1] + f',"{again}":{value}}}'
    assert faults(body.encode()) == [name]


@pytest.mark.parametrize(
    "ts",
    [
        "2026-01-31T12:00:00Z", "2026-01-31t12:00:00z", "2024-02-29T23:59:60Z",
        "2026-01-31T12:00:00.1Z", "2026-01-31T12:00:00.123456789012+23:59",
        "2026-01-31T12:00:00-00:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
    ],
)  # fmt: skip
def test_an_rfc_3339_time_is_kept_as_given(ts: str) -> None:
    body = json.dumps({"event_type": "log", "ts": ts, "payload": 0}).encode()
    assert parsed(body).ts == ts


@pytest.mark.parametrize(
    "ts",
    [
        "", "now", "1769860800", "2026-01-31", "2026-01-31 12:00:00Z", "2026-01-31T12:00Z",
        "2026-01-31T12:00:00", "2026-01-31T24:00:00Z", "2026-01-31T12:60:00Z",
        "2026-01-31T12:00:61Z", "2026-02-29T12:00:00Z", "2026-13-01T12:00:00Z",
        "2026-01-00T12:00:00Z", "0000-01-01T12:00:00Z", "2026-01-31T12:00:00.Z",
        "2026-01-31T12:00:00+24:00", "2026-01-31T12:00:00+0530", "2026-01-31T12:00:00Z ",
        "2026-01-31T12:00:00Z\n", "٢026-01-31T12:00:00Z", "20260131T120000Z",
    ],
)  # fmt: skip
def test_any_other_time_is_refused(ts: str) -> None:
    body = json.dumps({"event_type": "log", "ts": ts, "payload": 0}, ensure_ascii=False)
    assert faults(body.encode()) == ["ts"]


def test_a_time_must_name_an_existing_day() -> None:
    """In each year around the end of February, in one year on every day."""
    days = [(year, 2, day) for year in range(10_000) for day in (28, 29, 30)]
    days += [(2026, month, day) for month in range(14) for day in range(33)]
    texts = [f"{year:04}-{month:02}-{day:02}" for year, month, day in days]
    assert [text for text in texts if is_time(f"{text}T00:00:00Z")] == [
        text for text in texts if _is_moment(f"{text}T00:00:00Z")
    ]


@given(text=st.text(st.characters(max_codepoint=0x100), max_size=130))
@example("a" * 128)
@example("a" * 129)
@example("a\n")
def test_the_schema_shows_the_identifiers_that_are_accepted(text: str) -> None:
    fields = msgspec.json.schema(Envelope)["$defs"]["Envelope"]["properties"]
    (pattern,) = {fields[name]["pattern"] for name in ("event_id", "task_id")}
    shown = re.search(pattern.replace("$", r"\Z"), text) is not None  # ECMA-262's `$`
    assert (faults(event(b'0,"task_id":' + json.dumps(text).encode())) == []) == shown


def test_an_event_without_an_id_gets_one_that_sorts_by_time() -> None:
    made = [parsed(event(b"0")).id for _ in range(100)]
    assert len(set(made)) == 100
    assert sorted(made) == made
    assert all(name[14] == "7" for name in made)


@pytest.mark.parametrize(("own", "expected"), [(b"", "given"), (b',"event_id":"own"', "own")])
def test_a_default_id_serves_where_the_body_names_none(own: bytes, expected: str) -> None:
    assert parse_event(event(b"0" + own), NOW, "given").id == expected


# -- signatures (Standard Webhooks)

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
TIME = 1_769_860_800
BODY = b' {"a": "\xc3\xa9"}\r\n'


def signature(
    key: bytes = KEY, message_id: str = "msg_1", stamp: object = TIME, body: bytes = BODY
) -> str:
    content = f"{message_id}.{stamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


def signed(
    *, message_id: str = "msg_1", stamp: object = TIME, given: str | None = None
) -> dict[str, str]:
    own = signature(message_id=message_id, stamp=stamp) if given is None else given
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(stamp),
        "webhook-signature": own,
    }


def test_the_published_example_of_the_standard_is_valid() -> None:
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    assert verify_signature(headers, body, secret, 1614265330) == "msg_p5jXN8AQM9LWM0D4loKWxJek"


VALID = {
    "plain": signed(),
    "as old as may be": signed(stamp=TIME - TIMESTAMP_TOLERANCE_SECONDS),
    "as early as may be": signed(stamp=TIME + TIMESTAMP_TOLERANCE_SECONDS),
    "the second of two": signed(given=f"{signature(KEY[::-1])} {signature()}"),
    "beside another version": signed(given=f"v1a,AAAA v2,{signature()[3:]} {signature()}"),
    "beside a broken one": signed(given=f"v1,!!! v1, v1 {signature()}"),
    "the last that is looked at": signed(
        given=" ".join(["v1,AAAA"] * (MAX_SIGNATURES - 1) + [signature()])
    ),
    "an odd id": signed(message_id="!" * 128),
}
INVALID = {
    "of another secret": signed(given=signature(KEY[::-1])),
    "of another body": signed(given=signature(body=BODY + b" ")),
    "of another id": signed(given=signature(message_id="msg_2")),
    "of another time": signed(given=signature(stamp=TIME + 1)),
    "too old": signed(stamp=TIME - TIMESTAMP_TOLERANCE_SECONDS - 1),
    "from the future": signed(stamp=TIME + TIMESTAMP_TOLERANCE_SECONDS + 1),
    "of another version": signed(given="v2," + signature()[3:]),
    "without a version": signed(given=signature()[3:]),
    "cut short": signed(given=signature()[:-4]),
    "in another case": signed(given=signature().swapcase()),
    "not base64": signed(given="v1,é"),
    "one too many": signed(given=" ".join(["v1,AAAA"] * MAX_SIGNATURES + [signature()])),
    "a time that is none": signed(stamp="soon"),
    "a time with a sign": signed(stamp=f"+{TIME}"),
    "a time with a fraction": signed(stamp=f"{TIME}.0"),
    "a time beyond time": signed(stamp="9" * 400),
    "an id with blanks": signed(message_id="msg 1"),
    "an id too long": signed(message_id="!" * 129),
    "an empty id": signed(message_id=""),
    "empty": signed(given=""),
}


@pytest.mark.parametrize("case", VALID)
def test_a_signature_that_fits_gives_the_messages_id(case: str) -> None:
    headers = VALID[case]
    assert verify_signature(headers, BODY, SECRET, TIME) == headers["webhook-id"]


@pytest.mark.parametrize("case", INVALID)
def test_a_signature_that_does_not_fit_is_refused(case: str) -> None:
    with pytest.raises(BadSignature):
        verify_signature(INVALID[case], BODY, SECRET, TIME)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_refused_with_what_to_send(name: str) -> None:
    headers = signed()
    del headers[name]
    with pytest.raises(BadSignature, match="webhook-id, webhook-timestamp and webhook-signature"):
        verify_signature(headers, BODY, SECRET, TIME)


@given(header=st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=60))
def test_any_signature_header_is_judged_without_a_crash(header: str) -> None:
    with pytest.raises(BadSignature):
        verify_signature(signed(given=header), BODY, SECRET, TIME)
