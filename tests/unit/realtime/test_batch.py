"""The events of a batch are joined as a range of them is, and once for all readers."""

import pytest

from relay.realtime.batch import Batch
from relay.realtime.encoding import chunk
from relay.realtime.event_range import EventRange
from tests.support.hub_events import EPOCH, a_batch


@pytest.mark.parametrize("seqs", [(7,), (7, 8, 9)])
def test_its_bytes_are_those_of_a_range(seqs: tuple[int, ...]) -> None:
    events = a_batch(*seqs)
    batch = Batch(events, 0.0)
    same = EventRange(EPOCH, 7, [event.json for event in events])
    assert (batch.messages, batch.array, batch.sse) == (same.messages, same.array, same.sse)
    assert batch.sse_chunk == chunk(same.sse)
    assert batch.size == sum(map(len, same.texts))


def test_readers_share_its_bytes() -> None:
    batch = Batch(a_batch(1, 2), 0.0)
    assert batch.messages is batch.messages
    assert batch.array is batch.array
    assert batch.sse is batch.sse
    assert batch.sse_chunk is batch.sse_chunk
