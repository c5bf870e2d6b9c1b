"""What is posted to Pushpin is the event that all peers get, in the format that it publishes."""

import json

import pytest

from bench.marks import Lane, mark
from bench.proxies import published
from bench.shapes import SHAPES, Shape


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_an_item_has_the_event_as_a_message_or_as_a_block_of_an_event_stream(shape: Shape) -> None:
    event = Lane(3, 0, b"", shape=shape).request().partition(b"\r\n\r\n")[2].decode()
    for kind, name, content in (
        ("ws", "ws-message", event),
        ("sse", "http-stream", f"data: {event}\n\n"),
    ):
        lane = Lane(3, 0, b"", shape=shape, compose=published("u3", kind))
        body = json.loads(lane.request().partition(b"\r\n\r\n")[2])
        assert body == {"items": [{"channel": "u3", "formats": {name: {"content": content}}}]}


def test_a_batch_has_an_item_for_each_event() -> None:
    lane = Lane(3, 0, b"", 2, compose=published("u3", "ws"))
    items = json.loads(lane.request().partition(b"\r\n\r\n")[2])["items"]
    assert [mark(3, number).decode() in json.dumps(item) for number, item in enumerate(items)] == [
        True,
        True,
    ]
