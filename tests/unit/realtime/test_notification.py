"""The message between processes keeps its form: two versions share a database in an upgrade."""

import json
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.realtime.notification import NewEvents, Notification
from relay.realtime.process_ids import EVENTS, POSITIONS, new_process_id, protocol_of

ME = uuid4()


def test_messages_keep_their_field_names() -> None:
    notification = Notification(ME, heads={ME: 7}, revoked={ME})
    assert json.loads(notification.encode()) == {
        "by": str(ME),
        "heads": {str(ME): 7},
        "ended": [str(ME)],
    }
    full = Notification(ME, everything=True)
    assert json.loads(full.encode()) == {"by": str(ME), "all": True}
    gone = Notification(ME, leaves=True)
    assert json.loads(gone.encode()) == {"by": str(ME), "left": True}
    assert not gone
    assert gone.encode().encode() == gone.encode_bytes()
    new = NewEvents(ME, "e", 7, 1.5, (msgspec.Raw(b'{"seq":7}'),))
    grown = Notification(ME, grown=(new,))
    assert json.loads(grown.encode()) == {
        "by": str(ME),
        "grew": [[str(ME), "e", 7, 1.5, [{"seq": 7}]]],
    }


@given(
    payload=st.recursive(
        st.none() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    spaces=st.text(" \t", max_size=3),
)
def test_an_event_arrives_byte_for_byte(payload: object, spaces: str) -> None:
    text = f'{{"seq":7,{spaces}"payload":{spaces}{json.dumps(payload, ensure_ascii=False)}}}'
    raw = text.encode("utf-8", "surrogatepass")
    try:
        raw.decode()
    except UnicodeDecodeError:
        return  # no text that Postgres stores
    sent = Notification(ME, grown=(NewEvents(ME, "e", 7, 0.0, (msgspec.Raw(raw),)),))
    decoded = Notification.decode(sent.encode())
    assert decoded is not None
    assert [bytes(one) for one in decoded.grown[0].texts] == [raw]


def test_events_without_texts_are_a_position() -> None:
    assert NewEvents(ME, "e", 8, 0.0).last == 7
    assert NewEvents(ME, "e", 8, 0.0, (msgspec.Raw(b"1"), msgspec.Raw(b"2"))).last == 9


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"by": 7}', '{"by":"x"}', "\0"])
def test_an_unknown_notification_is_rejected(text: str) -> None:
    assert Notification.decode(text) is None


def test_a_process_id_names_its_protocol() -> None:
    ids = {new_process_id() for _ in range(1_000)}
    assert len(ids) == 1_000
    assert {protocol_of(one) for one in ids} == {EVENTS}
    assert {(one.version, one.variant) for one in ids} == {(8, ME.variant)}
    assert {protocol_of(UUID(str(one))) for one in ids} == {EVENTS}
    assert {protocol_of(uuid4()) for _ in range(1_000)} == {POSITIONS}
