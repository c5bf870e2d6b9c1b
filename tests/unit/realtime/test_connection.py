"""Connections under every interleaving of a model, and their own ends."""

import time
from uuid import uuid4

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, settings

from relay.events import StreamHead
from relay.realtime.close_codes import Close
from relay.realtime.hub import Hub
from relay.realtime.inbox_states import InboxState
from relay.realtime.resume import Start, locate
from relay.realtime.stream_connection import Viewer, run_connection
from tests.support.examples import examples
from tests.support.hub_events import EPOCH, a_batch, a_credential, an_event
from tests.support.hub_model.journal import FakeJournal, Stream
from tests.support.hub_model.machine import MOST, MOST_PER_ADDRESS, MOST_PER_USER, USERS, Streams
from tests.support.hub_model.reader import FakeTransport

TestStreams = Streams.TestCase
TestStreams.settings = settings(
    deadline=None,
    max_examples=examples(100),
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.mark.parametrize("reason", [Close.MAX_AGE, Close.INTERNAL])
async def test_a_stream_that_ends_by_itself_ends_its_inbox(
    autojump_clock: trio.testing.MockClock, reason: Close
) -> None:
    """By its age, or by a failure of its own."""
    user = USERS[0]
    stream = Stream([an_event(1)])
    hub = Hub(
        max_streams=MOST,
        max_streams_per_user=MOST_PER_USER,
        max_streams_per_address=MOST_PER_ADDRESS,
    )
    journal, transport = FakeJournal({user: stream}), FakeTransport(quick=True)
    if reason is Close.INTERNAL:
        stream.log = None  # type: ignore[assignment]
    viewer = Viewer(a_credential(user), max_age=100)
    with hub.subscribe(user, uuid4(), "here") as inbox:
        position = locate(Start(oldest=True), StreamHead(EPOCH, 1, 1))
        await run_connection(transport, inbox, viewer, position, journal)  # type: ignore[arg-type]
        assert (inbox.state, inbox.closing, transport.closed) == (InboxState.ENDED, reason, reason)
        assert hub.publish(user, a_batch(2)) is False


def test_streams_opened_together_reach_their_maximum_age_spread_out() -> None:
    watcher = Viewer(a_credential(uuid4()), max_age=100)
    endings = [watcher.compute_end(time.time()) for _ in range(1000)]
    ages = sorted(age for age, _ in endings)
    assert {close for _, close in endings} == {Close.MAX_AGE}
    assert 80 <= ages[0] < 82
    assert 98 < ages[-1] <= 100
    busiest = max(sum(second <= age < second + 1 for age in ages) for second in range(80, 100))
    assert busiest < 100, "a twentieth each second, not all in one"
