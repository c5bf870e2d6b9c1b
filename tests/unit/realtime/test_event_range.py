"""A range of events to bytes: the same as its single events, in parts that fit."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.realtime.encoding import MAX_MESSAGE_BYTES
from relay.realtime.event_range import EventRange
from tests.support.encoded_events import EPOCH, UNHURRIED, frames, messages


def stretch_of(sizes: Sequence[int]) -> EventRange:
    """Events from seq 1 on whose JSON has exactly these sizes."""
    return EventRange(EPOCH, 1, [frame.json for frame in frames(sizes)])


def test_a_range_encodes_like_its_single_events() -> None:
    made = frames([300, 400, 70_000])
    stretch = EventRange(EPOCH, 1, [frame.json for frame in made])
    assert stretch.messages == b"".join([frame.websocket for frame in made])
    assert stretch.sse == b"".join([frame.sse for frame in made])
    assert stretch.last == 3


def test_batches_are_arrays_except_for_a_single_event() -> None:
    (several,) = messages(stretch_of([300, 400]).array)
    assert [event["seq"] for event in json.loads(several)] == [1, 2]
    (alone,) = messages(stretch_of([300]).array)
    assert json.loads(alone)["seq"] == 1


@UNHURRIED
@given(sizes=st.lists(st.integers(250, 70_000), min_size=1, max_size=24))
def test_parts_hold_every_event_in_order_and_none_is_too_large(sizes: list[int]) -> None:
    stretch = stretch_of(sizes)
    parts = list(stretch.parts())
    bodies = [body for part in parts for body in messages(part.array)]
    assert len(bodies) == len(parts)
    assert max(map(len, bodies)) <= MAX_MESSAGE_BYTES
    assert [text for part in parts for text in part.texts] == stretch.texts
    assert [part.first for part in parts] == [json.loads(part.texts[0])["seq"] for part in parts]
    # a part was full when it ended: the next event would not have fitted
    for body, following in zip(bodies, parts[1:], strict=False):
        alone = not body.startswith(b"[")
        assert len(body) + 2 * alone + 1 + len(following.texts[0]) > MAX_MESSAGE_BYTES


@pytest.mark.parametrize(
    ("sizes", "parts"),
    [
        (
            [MAX_MESSAGE_BYTES // 2 - 3, MAX_MESSAGE_BYTES // 2 - 1],
            [2],
        ),  # 1 comma and 2 brackets: exactly
        ([MAX_MESSAGE_BYTES // 2 - 1, MAX_MESSAGE_BYTES // 2 - 1], [1, 1]),  # one byte too many
        ([MAX_MESSAGE_BYTES + 1000, 300], [1, 1]),
        ([300, MAX_MESSAGE_BYTES + 1000, 300], [1, 1, 1]),
    ],
)
def test_events_share_a_message_up_to_its_size(sizes: list[int], parts: list[int]) -> None:
    assert [len(part.texts) for part in stretch_of(sizes).parts()] == parts
