"""Events to bytes: any WebSocket client and any EventSource reads the event back."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.events import MAX_SEQ, Cursor
from relay.realtime.encoding import (
    SSE_HEARTBEAT,
    SSE_RETRY,
    EncodedEvent,
    array_frame,
    chunk,
    control_json,
    event_json,
    sse_control,
    text_frame,
)
from tests.support.encoded_events import EPOCH, UNHURRIED, an_event, frames, messages


def dispatched(stream: bytes) -> list[dict[str, str]]:
    """The events that an EventSource sees, by the rules of HTML, section 9.2.6."""
    found: list[dict[str, str]] = []
    last_id, data, kind = "", list[str](), ""
    lines = stream.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for line in lines[:-1]:  # what follows the last line end is not a line yet
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line == "":
            if data:
                found.append({"type": kind or "message", "id": last_id, "data": "\n".join(data)})
            data, kind = [], ""
        elif field == "data":
            data.append(value)
        elif field == "event":
            kind = value
        elif field == "id" and "\0" not in value:
            last_id = value
    return found


# -- WebSocket


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 300_000])
def test_a_text_frame_of_any_size_reads_back(size: int) -> None:
    payload = b"x" * size
    assert messages(text_frame(payload)) == [payload]


def test_frames_one_after_another_read_back_one_by_one() -> None:
    made = frames([300, 400, 70_000])
    assert messages(b"".join(one.websocket for one in made)) == [one.json for one in made]


@UNHURRIED
@given(payload=st.binary(max_size=300))
def test_a_frame_is_short_and_unmasked(payload: bytes) -> None:
    frame = text_frame(payload)
    assert frame[0] == 0x81  # final, text, no extension
    assert frame[1] & 0x80 == 0  # a server never masks
    assert len(frame) - len(payload) == (2 if len(payload) < 126 else 4)


# -- SSE


@UNHURRIED
@given(
    payload=st.recursive(
        st.none() | st.text() | st.integers(), lambda inner: st.lists(inner), max_leaves=8
    ).map(lambda value: json.dumps(value, ensure_ascii=False).encode(errors="replace").decode()),
    seq=st.integers(1, MAX_SEQ),
)
def test_a_block_is_one_unnamed_event_with_its_cursor_as_id(payload: str, seq: int) -> None:
    frame = EncodedEvent.from_event(an_event(seq, payload))
    expected = {"type": "message", "id": f"{EPOCH}.{seq}", "data": frame.json.decode()}
    assert dispatched(frame.sse) == [expected]
    assert dispatched(frame.sse * 2) == [expected] * 2


def test_a_control_with_a_cursor_moves_the_readers_position() -> None:
    body = control_json("gap", {"from": 1, "to": 4, "cursor": f"{EPOCH}.4"})
    block = sse_control("gap", body, f"{EPOCH}.4")
    assert dispatched(block) == [{"type": "gap", "id": f"{EPOCH}.4", "data": body.decode()}]


def test_a_control_without_a_cursor_leaves_the_readers_position_alone() -> None:
    close = sse_control("close", control_json("close", {"code": 1012}), None)
    assert b"\nid" not in close
    seen = dispatched(EncodedEvent.from_event(an_event(7)).sse + close)
    assert [(one["type"], one["id"]) for one in seen] == [
        ("message", f"{EPOCH}.7"),
        ("close", f"{EPOCH}.7"),
    ]


def test_a_heartbeat_is_a_comment_and_retry_starts_a_block() -> None:
    assert SSE_HEARTBEAT.startswith(b":")
    assert SSE_HEARTBEAT.endswith(b"\n\n")
    assert dispatched(SSE_HEARTBEAT) == []
    hello = SSE_RETRY + sse_control("hello", b"{}", f"{EPOCH}.0")
    assert dispatched(SSE_HEARTBEAT + hello) == [
        {"type": "hello", "id": f"{EPOCH}.0", "data": "{}"}
    ]


@pytest.mark.parametrize("size", [1, 15, 16, 255, 256, 65_536])
def test_a_chunk_has_its_length(size: int) -> None:
    body = b"y" * size
    length, _, rest = chunk(body).partition(b"\r\n")
    assert (int(length, 16), rest) == (size, body + b"\r\n")


# -- an event as its readers see it


def test_an_event_has_the_documented_fields_in_order() -> None:
    event = an_event(3, '{"b" : [1,  2], "a":"\\u00e9"}', task_id="build")
    assert event_json(event).decode() == (
        '{"id":"e3","seq":3,"cursor":"0123456789abcdef0123.3","event_type":"log",'
        '"task_id":"build","ts":"2026-01-31T12:00:00Z",'
        '"received_at":"2026-01-31T12:00:00.007Z","payload":{"b" : [1,  2], "a":"\\u00e9"}}'
    )


def test_an_event_without_a_task_has_no_task_field() -> None:
    assert "task_id" not in json.loads(event_json(an_event()))


@UNHURRIED
@given(name=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1))
def test_ids_that_need_escapes_read_back(name: str) -> None:
    read = json.loads(event_json(an_event(id=name, task_id=name)))
    assert (read["id"], read["task_id"]) == (name, name)


def test_an_event_is_encoded_once_for_all_its_readers() -> None:
    frame = EncodedEvent.from_event(an_event())
    assert frame.websocket is frame.websocket
    assert frame.sse is frame.sse
    assert (frame.cursor, frame.size) == (f"{EPOCH}.1", len(frame.json))


@UNHURRIED
@given(epoch=st.from_regex(r"[0-9a-z]{1,32}", fullmatch=True), seq=st.integers(0, MAX_SEQ))
def test_a_cursor_reads_back_as_it_was_written(epoch: str, seq: int) -> None:
    assert Cursor.parse(str(Cursor(epoch, seq))) == Cursor(epoch, seq)


def test_a_control_starts_with_its_type_and_omits_unset_fields() -> None:
    body = control_json("hello", {"reason": msgspec.UNSET, "retry_after_ms": None, "oldest": 1})
    assert body == b'{"type":"hello","retry_after_ms":null,"oldest":1}'


# -- several at once


def test_several_events_are_one_array_in_their_order() -> None:
    made = frames([300, 400, 70_000])
    (body,) = messages(array_frame([frame.json for frame in made]))
    assert json.loads(body) == [json.loads(one.json) for one in made]
