"""The fast pass and the slow diagnosis agree on every text, singly and in batches.

The pass finds a doubled field by the length of its envelope; the diagnosis by reading the names.
"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import Problem
from relay.events import NewEvent
from relay.ingest import parsing, structure
from relay.ingest.diagnosis import diagnose
from relay.ingest.ndjson import parse_batch, parse_lines
from relay.ingest.parsing import parse_event
from tests.support.envelopes import FIELDS, HEAD, NOW, ON_A_LINE, envelopes, event


def accepted(body: bytes) -> bool:
    try:
        parse_event(body, NOW, "given")
    except Problem:
        return False
    return True


@given(body=envelopes())
def test_fast_pass_and_diagnosis_agree_on_every_event(body: bytes) -> None:
    assert accepted(body) == (diagnose(body) is None)


@given(body=envelopes(), place=st.integers(0, 400), insert=st.binary(max_size=2))
def test_fast_pass_and_diagnosis_agree_on_mutated_events(
    body: bytes, place: int, insert: bytes
) -> None:
    broken = body[:place] + insert + body[place + 1 :]
    assert accepted(broken) == (diagnose(broken) is None)


@given(lines=st.lists(envelopes(ON_A_LINE), min_size=1, max_size=4))
async def test_fast_pass_and_diagnosis_agree_on_batches(
    lines: list[bytes],
) -> None:
    together = parse_lines(lines, NOW, ["given"] * len(lines))
    if any(diagnose(line) is not None for line in lines):
        assert together is None
        with pytest.raises(Problem):
            await parse_batch(b"\n".join(lines), NOW)
    else:
        assert together == [parse_event(line, NOW, "given") for line in lines]


@given(lines=st.lists(envelopes(ON_A_LINE), min_size=1, max_size=4))
def test_long_and_short_payloads_are_looked_at_alike(lines: list[bytes]) -> None:
    found = parse_lines(lines, NOW, ["given"] * len(lines)), [accepted(line) for line in lines]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(structure, "_LONG_PAYLOAD", 0)
        assert parse_lines(lines, NOW, ["given"] * len(lines)) == found[0]
        assert [accepted(line) for line in lines] == found[1]


# each with its escapes and lengths chosen so that a careless count would come out even
DROPPED = {
    "event_type": ['"log"', r'"l\u006fg"'],
    "ts": [
        *('""', '" "', r'"\\"', r'"\""', r'"\tu\tu\tu\tu"', r'"\\u\\u\\uz"', r'"\u005c\u005C"'),
        r'"\ud83d\ude00"',
    ],
    "payload": ["0", "{}", '""', r'"\\"', " [ ] ", '{"payload":"payload"}', r'"\\u005c"'],
    "event_id": ['""', r'"\/\/"', r'"\b\f\n\r\t"', r'"\"\\\""', '"é"'],
    "task_id": ['""', r'"\\\\\\\\\\\\\\\\\\\\\\\\\\\\"', r'"\u0020"', r'"\\\u005c\\"'],
}
FULL = {
    "event_type": '"log"',
    "ts": '"2026-01-31T12:00:00Z"',
    "payload": r'{"ts":"\u00e9 \\"}',
    "event_id": r'"a\/\u005c\\\"b"',
    "task_id": '"t"',
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name in DROPPED for value in DROPPED[name]]
)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\t", "\r: ")])
def test_a_doubled_field_is_found_in_every_position(
    name: str, value: str, separators: tuple[str, str]
) -> None:
    comma, colon = separators
    members = [f'"{field}"{colon}{text}' for field, text in FULL.items()]
    assert accepted(f"{{{comma.join(members)}}}".encode())
    spellings = (f'"{name}"', f'"\\u{ord(name[0]):04x}{name[1:]}"')
    for spelling in spellings:
        for place in range(FIELDS.index(name) + 1):  # before the one that the decoder keeps
            doubled = [*members[:place], f"{spelling}{colon}{value}", *members[place:]]
            body = f"{{{comma.join(doubled)}}}".encode()
            with pytest.raises(Problem) as refusal:
                parse_event(body, NOW)
            assert {error.where for error in refusal.value.errors} == {name}


NOT_ODD = {
    "names in the payload": event(b'{"ts":1,"task_id":2,"payload":{"event_id":3},"event_type":4}'),
    "names as values": event(b'["ts","task_id","payload"],"task_id":"ts","event_id":"payload"'),
    "text that looks like fields": event(rb'"\",\"ts\":\"\",{}"'),
    "escapes": event(rb'"\u00e9 \ud83d\ude00 \" \\ C:\\users\\u0041"'),
    "escapes in an id": event(rb'0,"event_id":"\/\"\\u\u005c\u005C\\u005c\u0026"'),
    "escapes in names": event(b"0").replace(b'"ts"', rb'"t\u0073"'),
    "a carriage return behind": event(b"0") + b"\r",
    "carriage returns between": event(b"[1,\r2]").replace(b",", b",\r"),
    "blanks around": b"\t " + event(b" 0 ") + b" \t",
    "29 February": event(b"0").replace(b"2026-01-31", b"2024-02-29"),
    "a leap second": event(b"0").replace(b"12:00:00", b"23:59:60"),
    "small letters": event(b"0").replace(b"T12:00:00Z", b"t12:00:00z"),
    "another order": b'{"payload":0,' + HEAD[1:].replace(b',"payload":', b"}"),
}


@pytest.fixture
def without_diagnosis(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fast pass must do alone."""

    def never(body: bytes) -> Problem | None:
        raise AssertionError(f"diagnosed: {body!r}")

    monkeypatch.setattr(parsing, "diagnose", never)


@pytest.mark.parametrize("what", NOT_ODD)
@pytest.mark.usefixtures("without_diagnosis")
async def test_a_valid_event_needs_no_diagnosis(what: str) -> None:
    line = NOT_ODD[what]
    given = json.loads(line)
    found = parse_event(line, NOW)
    assert (found.event_type, found.ts) == (given["event_type"], given["ts"])
    assert json.loads(found.payload) == given["payload"]
    (of_batch,) = await parse_batch(line, NOW)
    assert described(of_batch) == described(found)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n", b"\n \t\r\n"])
@pytest.mark.usefixtures("without_diagnosis")
async def test_a_valid_batch_needs_one_pass(end: bytes) -> None:
    expected = [described(parse_event(line, NOW)) for line in NOT_ODD.values()]
    for body in (end.join(NOT_ODD.values()), end + end.join(NOT_ODD.values()) + end):
        assert [described(one) for one in await parse_batch(body, NOW)] == expected


def described(found: NewEvent) -> tuple[object, ...]:
    """All of it but an id that Relay made."""
    own = None if found.has_generated_id else found.id
    return own, found.event_type, found.task_id, found.ts, found.payload, found.received_at


LONG = '{"message": "' + "a log " * 1_000 + '"}'
HIDDEN = r'"p\u0061yload": '


@pytest.mark.parametrize(
    ("fields", "valid"),
    [
        (f'"payload": {LONG}', True),
        (f'"payload":{LONG}', True),
        (f'"payload":  {LONG}', True),
        (f"{HIDDEN}{LONG}", True),
        (f'"payload": {LONG}, "payload": {LONG}', False),
        (f'"payload": {LONG}, {HIDDEN}{LONG}', False),
        (f'{HIDDEN}{LONG}, "payload": {LONG}', False),
        (f'"payload": {{"payload": {LONG}}}', True),
        (f'{HIDDEN}{{"payload": {LONG}}}, {HIDDEN}{LONG}', False),
        (f'"payload": 1, "payload": {LONG}', False),
        (f'"payload": {LONG}, "payload": 1', False),
        ('"payload": 11, "payload": 1', False),
        (r'"payload": "\"payload\":' + "x" * 6_000 + '"', True),
    ],
)
def test_a_second_payload_is_found_however_the_first_is_spelled(fields: str, valid: bool) -> None:
    body = f'{{"event_type": "task_progress", "ts": "2026-01-31T12:00:00Z", {fields}}}'.encode()

    assert accepted(body) == valid
    assert (parse_lines([body], NOW, ["given"]) is not None) == valid
    assert (diagnose(body) is None) == valid
