"""Only a stream of Relay's counts: another program's sets no cursor and shows nothing."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.client.stream_messages import MAX_BLOCK_BYTES, MessageDecoder, NotRelaysStream

HELLO = b'event: hello\nid: e.1\ndata: {"cursor":"e.1","resumed":true,"oldest":1}\n\n'
EVENT = (
    b'id: e.2\ndata: {"seq":2,"event_type":"log","ts":"2026-01-31T12:00:00Z",'
    b'"received_at":"2026-01-31T12:00:00Z","payload":1}\n\n'
)
CLOSE = b'event: close\ndata: {"code":4408,"reason":"busy","retry_after_ms":500}\n\n'

FOREIGN = {
    "an event before hello": EVENT,
    "a stream of its own": b'event: update\nid: 7\ndata: {"x":1}\n\n',
    "text": b"data: hello\n\n",
    "hello with other fields": b'event: hello\nid: 7\ndata: {"message":"hi"}\n\n',
    "a gap with other fields": HELLO + b'event: gap\ndata: {"from":"a"}\n\n',
    "a close with other fields": b'event: close\ndata: {"retry_after_ms":"soon"}\n\n',
    "a close without a code": b'event: close\ndata: {"reason":"x"}\n\n',
    "an id that no header can hold": HELLO + EVENT.replace(b"e.2", "日".encode()),
    "an id that is not UTF-8": HELLO + EVENT.replace(b"e.2", b"\xff"),
    "an id of a kilobyte": HELLO + EVENT.replace(b"e.2", b"7" * 1_024),
    "a name that is not UTF-8": b"event: \xff\ndata: {}\n\n",
    "an event without its fields": HELLO + b'id: e.2\ndata: {"seq":2}\n\n',
    "no JSON": HELLO + b"id: e.2\ndata: {\n\n",
    "no end of a block": HELLO + b"x" * (MAX_BLOCK_BYTES + 1),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_not_relays_stream_is_refused(name: str) -> None:
    decoder = MessageDecoder("e.0")
    with pytest.raises(NotRelaysStream):
        decoder.feed(FOREIGN[name])
    assert decoder.cursor in ("e.0", "e.1")


@given(st.lists(st.integers(1, len(HELLO + EVENT + CLOSE)), max_size=5))
def test_a_stream_is_read_alike_in_any_parts(cuts: list[int]) -> None:
    body = b"retry: 2000\n" + HELLO + b": still here\n\n" + EVENT + CLOSE
    decoder = MessageDecoder()
    edges = [0, *sorted(cuts), len(body)]
    messages = [one for start, end in pairwise(edges) for one in decoder.feed(body[start:end])]
    seen = [one.control or (one.event and one.event.seq) for one in messages]
    assert seen == ["hello", 2, "close"]
    assert decoder.cursor == "e.2"


def test_a_close_may_come_first_and_an_unknown_control_message_later() -> None:
    assert [one.control for one in MessageDecoder().feed(CLOSE)] == ["close"]
    later = b'event: later\nid: e.3\ndata: {"new":1}\n\n'
    assert [one.control for one in MessageDecoder().feed(HELLO + later)] == ["hello", "later"]
