"""The envelope is strict: exactly its faults are listed, as a slow reading of it finds them."""

import json
import re
from collections import Counter
from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.errors import safe_name
from relay.events import EVENT_TYPES
from relay.ingest.envelope import Envelope
from relay.ingest.parsing import parse_event
from relay.ingest.values import is_time
from tests.support.envelopes import BETWEEN, FIELDS, NOW, event
from tests.support.parsed_events import faults, parsed

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
