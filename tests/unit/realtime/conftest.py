"""An inbox and its direct write, and a connection of two sockets."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from relay.realtime.inbox import Inbox
from tests.support.hub_events import live
from tests.support.inboxes import Wire
from tests.support.socket_pairs import SocketPair, tcp_pair


@pytest.fixture
def inbox() -> Inbox:
    """That of a live reader of an empty stream."""
    return live(Inbox(uuid4()))


@pytest.fixture
def wire(inbox: Inbox) -> Wire:
    wire = Wire()
    inbox.use_direct_write(wire)
    return wire


@pytest.fixture
def pair() -> Iterator[SocketPair]:
    with tcp_pair() as pair:
        yield pair
