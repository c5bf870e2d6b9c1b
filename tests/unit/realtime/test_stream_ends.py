"""The streams of a process that cannot learn of revocations end; those of a slow one stay."""

from contextlib import ExitStack
from uuid import uuid4

import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from relay.auth.revocations import RevocationKnowledge
from relay.realtime.close_codes import Close
from relay.realtime.inbox import Inbox
from relay.realtime.stream_ends import POLL_GRACE_SECONDS, end_blind_streams
from tests.support.hub_events import a_hub

AFTER = 30.0


class Scene:
    def __init__(self, nursery: trio.Nursery, clock: MockClock) -> None:
        self.revocations = RevocationKnowledge()
        self.hub = a_hub()
        self.clock = clock
        self._stack = ExitStack()
        self.revocations.note_success(trio.current_time())
        nursery.start_soon(end_blind_streams, self.hub, self.revocations, AFTER)

    def open(self, count: int) -> list[Inbox]:
        opened = [self.hub.subscribe(uuid4(), uuid4(), "here") for _ in range(count)]
        return [self._stack.enter_context(one) for one in opened]

    async def stand_still(self, seconds: float) -> None:
        """Time passes, and nothing runs meanwhile."""
        self.clock.jump(seconds)
        await wait_all_tasks_blocked()


def ends(*inboxes: Inbox) -> set[Close | None]:
    return {inbox.closing for inbox in inboxes}


async def test_streams_end_within_the_time_that_is_set(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    scene = Scene(nursery, autojump_clock)
    inboxes = scene.open(20)
    scene.revocations.note_failure()
    await trio.sleep(AFTER - 3)
    assert ends(*inboxes) == {None}
    await trio.sleep(3)
    assert ends(*inboxes) == {Close.BLIND}
    late = scene.open(1)  # it was being opened meanwhile
    await trio.sleep(3)
    assert ends(*late) == {Close.BLIND}
    nursery.cancel_scope.cancel()


async def test_streams_that_are_still_closing_are_not_counted_again(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    scene = Scene(nursery, autojump_clock)
    with capture_logs() as log:
        scene.open(20)
        scene.revocations.note_failure()
        await trio.sleep(AFTER)
        scene.open(1)
        await trio.sleep(10)
    assert [line["streams"] for line in log] == [20, 1]
    nursery.cancel_scope.cancel()


async def test_a_poll_that_succeeds_keeps_them(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    scene = Scene(nursery, autojump_clock)
    inboxes = scene.open(3)
    for _ in range(4):
        await trio.sleep(AFTER - 3)
        scene.revocations.note_success(trio.current_time())
    assert ends(*inboxes) == {None}
    nursery.cancel_scope.cancel()


async def test_a_process_that_stood_still_polls_first(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    scene = Scene(nursery, autojump_clock)
    inboxes = scene.open(3)
    await scene.stand_still(3600)
    scene.revocations.note_failure()  # of the time before
    await scene.stand_still(POLL_GRACE_SECONDS / 2)
    scene.revocations.note_success(trio.current_time())
    await trio.sleep(AFTER - 3)
    assert ends(*inboxes) == {None}
    nursery.cancel_scope.cancel()


async def test_a_process_that_never_polled_ends_what_comes(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    revocations, hub = RevocationKnowledge(), a_hub()
    nursery.start_soon(end_blind_streams, hub, revocations, AFTER)
    await trio.sleep(AFTER)
    with hub.subscribe(uuid4(), uuid4(), "here") as inbox:
        await trio.sleep(4)
        assert inbox.closing is Close.BLIND
    nursery.cancel_scope.cancel()
