"""What counts as a close frame that was sent. The tests of RFC 6455 have the rest."""

import struct

import pytest

from relay.server.limits import ConnectionLimits
from relay.server.websocket_frames import Frames, PeerClose
from tests.support.client.protocol import masked


async def test_a_close_that_could_not_be_made_was_not_sent() -> None:
    frames = Frames(ConnectionLimits(), 100)
    with pytest.raises(struct.error):
        frames.close(70_000, None)
    (answered,) = frames.receive(masked(0x88, b""))
    assert isinstance(answered, PeerClose)
    assert answered.frame
    assert frames.close(1000, None) == b""
