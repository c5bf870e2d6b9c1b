"""An inbox, and its direct write."""

from uuid import uuid4

import pytest

from relay.realtime.inbox import Inbox
from tests.support.hub_events import live
from tests.support.inboxes import Wire


@pytest.fixture
def inbox() -> Inbox:
    """That of a live reader of an empty stream."""
    return live(Inbox(uuid4()))


@pytest.fixture
def wire(inbox: Inbox) -> Wire:
    wire = Wire()
    inbox.use_direct_write(wire)
    return wire
