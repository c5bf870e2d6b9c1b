"""Connections under every interleaving of a model, and their own ends."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, settings

from relay.db.pages import EventPage
from relay.db.reader_turns import UserTurnMissed
from relay.errors import DatabaseAway, Unavailable
from relay.events import StreamHead
from relay.realtime.backplane import LocalBackplane
from relay.realtime.close_codes import Close
from relay.realtime.encoding import event_json
from relay.realtime.hub import Hub
from relay.realtime.inbox_states import InboxState
from relay.realtime.resume import Start, locate
from relay.realtime.stream_connection import Viewer, find_start, run_connection
from relay.realtime.task_backlogs import TaskBacklogs
from relay.realtime.task_feeds import TaskFeed
from tests.support.examples import examples
from tests.support.hub_events import (
    EPOCH,
    a_batch,
    a_credential,
    a_hub,
    an_event,
    known_revocations,
)
from tests.support.hub_model.journal import FakeJournal, Stream
from tests.support.hub_model.machine import MOST, MOST_PER_ADDRESS, MOST_PER_USER, USERS
from tests.support.hub_model.processes import StreamsBesideOthers
from tests.support.hub_model.reader import FakeTransport
from tests.support.inboxes import OTHER_EPOCH

TestStreams = StreamsBesideOthers.TestCase
TestStreams.settings = settings(
    deadline=None,
    max_examples=examples(100),
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


async def test_the_stream_is_looked_at_when_what_comes_after_is_heard() -> None:
    """What is stored between the two would otherwise wait for the poll."""
    user, stream = USERS[0], Stream()
    hub, journal = a_hub(), FakeJournal({USERS[0]: stream})

    class LateBackplane(LocalBackplane):
        async def attend(self, user_id: UUID) -> None:
            assert hub.watchers(user_id) == 1
            await trio.lowlevel.checkpoint()
            stream.log.append(an_event(1))  # by another process; nothing announced it here

    with hub.subscribe(user, uuid4(), "here") as inbox:
        position = await find_start(inbox, Start(), LateBackplane(hub), journal)  # type: ignore[arg-type]
    assert (position.seq, position.last) == (1, 1)


@pytest.mark.parametrize("reason", [Close.MAX_AGE, Close.INTERNAL])
async def test_a_stream_that_ends_by_itself_ends_its_inbox(
    autojump_clock: trio.testing.MockClock, reason: Close
) -> None:
    """By its age, or by a failure of its own."""
    user = USERS[0]
    stream = Stream([an_event(1)])
    revocations = known_revocations()
    hub = Hub(
        revocations,
        max_streams=MOST,
        max_streams_per_user=MOST_PER_USER,
        max_streams_per_address=MOST_PER_ADDRESS,
    )
    journal, transport = FakeJournal({user: stream}), FakeTransport(quick=True)
    if reason is Close.INTERNAL:
        stream.log = None  # type: ignore[assignment]
    viewer = Viewer(a_credential(user), 100, revocations)
    with hub.subscribe(user, uuid4(), "here") as inbox:
        position = locate(Start(oldest=True), StreamHead(EPOCH, 1, 1))
        await run_connection(transport, inbox, viewer, position, journal)  # type: ignore[arg-type]
        assert (inbox.state, inbox.closing, transport.closed) == (InboxState.ENDED, reason, reason)
        assert hub.publish(user, a_batch(2)) is False


async def test_a_stream_that_misses_its_turn_to_read_reads_later(
    autojump_clock: trio.testing.MockClock,
) -> None:
    user, missed = USERS[0], [UserTurnMissed(), Unavailable(), DatabaseAway()]
    event, revocations, hub = an_event(1), known_revocations(), a_hub()

    class BusyJournal(FakeJournal):
        async def read(self, user_id: UUID, after: int) -> EventPage:
            if missed:
                raise missed.pop()
            return await super().read(user_id, after)

    journal, transport = BusyJournal({user: Stream([event])}), FakeTransport(quick=True)
    viewer = Viewer(a_credential(user), 100, revocations)
    with hub.subscribe(user, uuid4(), "here") as inbox:
        position = locate(Start(oldest=True), StreamHead(EPOCH, 1, 1))
        await run_connection(transport, inbox, viewer, position, journal)  # type: ignore[arg-type]
    assert transport.closed is Close.MAX_AGE
    assert (1, event_json(event)) in transport.seen


@pytest.mark.parametrize("renewed", [True, False], ids=["a new epoch", "an old one's replay"])
async def test_an_event_of_another_epoch_ends_the_stream_only_if_the_journal_has_that_epoch(
    renewed: bool,
) -> None:
    user, stream = USERS[0], Stream([an_event(1)])
    hub, journal, transport = a_hub(), FakeJournal({user: stream}), FakeTransport(quick=True)
    viewer = Viewer(a_credential(user), None, known_revocations())
    with hub.subscribe(user, uuid4(), "here") as inbox:
        position = locate(Start(), StreamHead(EPOCH, 1, 1))
        async with trio.open_nursery() as nursery:
            parts: Any = (transport, inbox, viewer, position, journal)
            nursery.start_soon(run_connection, *parts)
            await trio.testing.wait_all_tasks_blocked()
            if renewed:
                stream.epoch = OTHER_EPOCH
            hub.publish(user, a_batch(1, epoch=OTHER_EPOCH))
            await trio.testing.wait_all_tasks_blocked()
            assert transport.closed is (Close.RESTART if renewed else None)
            stream.log.append(an_event(2))
            hub.publish(user, a_batch(2))
            await trio.testing.wait_all_tasks_blocked()
            assert [seq for seq, _ in transport.seen if isinstance(seq, int)] == [2][renewed:]
            nursery.cancel_scope.cancel()


class EmptySnapshot:
    """That of a user without tasks."""

    at, revision = datetime.now(UTC), 0

    async def next_messages(self) -> list[bytes]:
        return []


class SlowLine(FakeTransport):
    """A line on which no task is sent before it has changed again. Meanwhile `then` is called."""

    def __init__(self, change: Callable[[], None], *then: Callable[[], object]) -> None:
        super().__init__(quick=False)
        self._change = change
        self._then = list(then)

    async def send_message(self, kind: str, body: bytes) -> None:
        await self._write((kind, {}))
        if self._then:
            self._then.pop(0)()
            self._change()


async def test_events_have_their_turn_while_tasks_change_faster_than_they_are_sent() -> None:
    user, hub = USERS[0], a_hub()
    viewer = Viewer(a_credential(user), None, known_revocations())
    with hub.subscribe(user, uuid4(), "here") as inbox:
        feed = TaskFeed(EmptySnapshot(), TaskBacklogs().add(inbox))  # type: ignore[arg-type]
        transport = SlowLine(
            lambda: feed.backlog.put("build", b"{}"),
            lambda: hub.publish(user, a_batch(1)),
            lambda: hub.publish(user, a_batch(2, 3)),
            lambda: None,  # no event: the change that comes is sent without one
            lambda: hub.publish(user, a_batch(4)),
        )
        position = locate(Start(), StreamHead(EPOCH, 1, 0))
        async with trio.open_nursery() as nursery:
            parts: Any = (transport, inbox, viewer, position, FakeJournal({user: Stream()}), feed)
            nursery.start_soon(run_connection, *parts)
            await trio.testing.wait_all_tasks_blocked()
            feed.backlog.put("build", b"{}")
            await trio.testing.wait_all_tasks_blocked()
            seen = [kind for kind, _ in transport.seen]
            assert seen == ["hello", "task", 1, "task", 2, 3, "task", "task", 4, "task"]
            nursery.cancel_scope.cancel()


async def test_a_slow_reader_gets_of_each_task_what_is_latest_when_its_turn_comes() -> None:
    user, hub = USERS[0], a_hub()
    viewer = Viewer(a_credential(user), None, known_revocations())
    sent: list[bytes] = []
    gates = [trio.Event(), trio.Event(), trio.Event()]

    class OneByOne(FakeTransport):
        async def send_message(self, kind: str, body: bytes) -> None:
            sent.append(body)
            await gates[len(sent) - 1].wait()

    with hub.subscribe(user, uuid4(), "here") as inbox:
        backlogs = TaskBacklogs()
        feed = TaskFeed(EmptySnapshot(), backlogs.add(inbox))  # type: ignore[arg-type]
        position = locate(Start(), StreamHead(EPOCH, 1, 0))
        async with trio.open_nursery() as nursery:
            for task_id, message in [("a", b"a1"), ("b", b"b1"), ("c", b"c1")]:
                feed.backlog.put(task_id, message)
            journal, transport = FakeJournal({user: Stream()}), OneByOne(quick=True)
            parts: Any = (transport, inbox, viewer, position, journal, feed)
            nursery.start_soon(run_connection, *parts)
            await trio.testing.wait_all_tasks_blocked()
            feed.backlog.put("c", b"c-latest")
            assert (sent, backlogs.bytes) == ([b"a1"], len(b"a1b1c-latest"))
            for gate in gates:
                gate.set()
            await trio.testing.wait_all_tasks_blocked()
            assert (sent, backlogs.bytes) == ([b"a1", b"b1", b"c-latest"], 0)
            nursery.cancel_scope.cancel()


def test_streams_opened_together_reach_their_maximum_age_spread_out() -> None:
    watcher = Viewer(a_credential(uuid4()), 100, known_revocations())
    endings = [watcher.compute_end(time.time()) for _ in range(1000)]
    ages = sorted(age for age, _ in endings)
    assert {close for _, close in endings} == {Close.MAX_AGE}
    assert 80 <= ages[0] < 82
    assert 98 < ages[-1] <= 100
    busiest = max(sum(second <= age < second + 1 for age in ages) for second in range(80, 100))
    assert busiest < 100, "a twentieth each second, not all in one"
