"""The fields of an event: every invalid one is named, and valid ones are passed on as given."""

import json

import pytest

from tests.support.bodies import TS, envelope
from tests.support.posts import named, send
from tests.support.relay_server import Relay
from tests.support.stored_events import stored


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
