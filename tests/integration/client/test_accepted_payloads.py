"""Whatever ingestion accepts, each reader of ours survives, and shows the events around it."""

import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from relay.cli.screen import TailScreen
from relay.client.stream_messages import MessageDecoder, StreamMessage
from relay.errors import Problem
from relay.events import EVENT_TYPES, Event
from relay.ingest.parsing import parse_event
from relay.realtime.encoding import event_json
from tests.support.accepted_payloads import EXTREME, KNOWN_KEYS, payload_texts

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
HELLO = b'event: hello\nid: epoch.1\ndata: {"cursor":"epoch.1","resumed":true}\n\n'


def _accepted(event_type: str, payload: str) -> bytes | None:
    """The event as its readers get it; None if ingestion refuses it."""
    body = (
        f'{{"event_type":"{event_type}","ts":"2026-01-31T12:00:00Z","task_id":"t",'
        f'"payload":{payload}}}'
    )
    try:
        new = parse_event(body.encode(), NOW)
    except Problem:
        return None
    return event_json(
        Event(
            epoch="epoch",
            seq=2,
            id=new.id,
            event_type=new.event_type,
            task_id=new.task_id,
            ts=new.ts,
            payload=new.payload,
            received_at=NOW,
        )
    )


def _shown(event: bytes, *, terminal: bool) -> str:
    """What `relay tail` prints for it, between two plain lines of a log."""
    before, after = (_accepted("log", f'{{"message":"{word}"}}') for word in ("before", "after"))
    assert before is not None
    assert after is not None
    received = [_received(one) for one in (before, event, after)]
    assert received[1].raw == event  # `relay tail --json` writes it as it came
    strict = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict")
    screen = TailScreen(Console(file=strict, force_terminal=terminal, width=80))
    screen.show([one.event for one in received if one.event is not None])
    screen._console.print(screen._render())  # what a refresh paints
    strict.seek(0)
    return strict.read()


def _received(event: bytes) -> StreamMessage:
    hello, message = MessageDecoder().feed(HELLO + b"id: epoch.2\ndata: " + event + b"\n\n")
    assert hello.control == "hello"
    return message


@pytest.mark.parametrize("terminal", [False, True])
@given(st.sampled_from(EVENT_TYPES), payload_texts())
def test_any_accepted_event_is_shown_among_others(
    terminal: bool, event_type: str, payload: str
) -> None:
    event = _accepted(event_type, payload)
    if event is not None:
        text = _shown(event, terminal=terminal)
        assert text.index("before") < text.rindex("after")


@pytest.mark.parametrize("event_type", EVENT_TYPES)
@pytest.mark.parametrize("value", EXTREME, ids=lambda value: value[:24])
def test_each_extreme_value_in_each_known_field(event_type: str, value: str) -> None:
    payloads = [value, *(f'{{"{key}":{value}}}' for key in KNOWN_KEYS)]
    for event in (_accepted(event_type, payload) for payload in payloads):
        if event is not None:
            assert "after" in _shown(event, terminal=False)


@pytest.mark.parametrize("number", ["1e309", "9" * 4_301])
def test_a_log_whose_payload_no_double_holds_is_shown_as_its_text(number: str) -> None:
    event = _accepted("log", f'{{"reading":{number}}}')
    assert event is not None
    assert f'{{"reading":{number}}}' in _shown(event, terminal=False).replace("\n", "")


def test_a_task_ends_although_a_field_cannot_be_read() -> None:
    event = _accepted("task_failed", '{"title":"train","exit_code":1e400,"message":"it broke"}')
    assert event is not None
    assert "✗ train  it broke" in _shown(event, terminal=False)
