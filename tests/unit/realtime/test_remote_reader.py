"""Events stored by other processes reach the readers here: once, in order, by one read."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from uuid import UUID, uuid4

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from relay.db.pages import StoredEvent
from relay.errors import DatabaseAway
from relay.events import Event, StreamHead, utc_now
from relay.realtime.encoding import event_json
from relay.realtime.inbox import Inbox
from relay.realtime.notification import NewEvents, Notification
from relay.realtime.remote_reader import (
    MIN_POLL_INTERVAL,
    POLL_INTERVAL,
    RETRY_INTERVAL,
    RemoteEventReader,
)
from tests.support.hub_events import EPOCH, a_batch, a_hub, an_event, live

ME, YOU = UUID(int=1), UUID(int=2)
ELSEWHERE = uuid4()


class FakeJournal:
    """Streams as lists, and what was asked of them."""

    now = staticmethod(utc_now)

    def __init__(self) -> None:
        self.logs: dict[UUID, list[Event]] = {ME: [], YOU: []}
        self.reads: list[dict[UUID, int]] = []
        self.looks = 0
        self.away = False
        self.page = 1_000

    def store(self, user_id: UUID, count: int) -> None:
        log = self.logs[user_id]
        log += [an_event(len(log) + 1 + n) for n in range(count)]

    def is_storing(self, _user_id: UUID) -> bool:
        return False

    async def heads(self, user_ids: list[UUID]) -> dict[UUID, StreamHead]:
        self.looks += 1
        await trio.lowlevel.checkpoint()
        if self.away:
            raise DatabaseAway()
        return {user: StreamHead(EPOCH, 1, len(self.logs[user])) for user in user_ids}

    async def read_many(self, after: Mapping[UUID, int]) -> dict[UUID, list[StoredEvent]]:
        self.reads.append(dict(after))
        await trio.lowlevel.checkpoint()
        if self.away:
            raise DatabaseAway()
        found = {user: self.logs[user][seq : seq + self.page] for user, seq in after.items()}
        return {user: list(map(stored, events)) for user, events in found.items() if events}


def stored(event: Event) -> StoredEvent:
    return StoredEvent(event.epoch, event.seq, event_json(event), event.received_at)


class Scene:
    """Three readers: two of mine, one of yours, all up to date; a follower at rest."""

    def __init__(self, stack: ExitStack) -> None:
        self.hub = a_hub()
        self.journal = FakeJournal()
        self.follower = RemoteEventReader(self.hub, self.journal)  # type: ignore[arg-type]
        self.readers = [
            stack.enter_context(self.hub.subscribe(user, uuid4(), "here")) for user in (ME, ME, YOU)
        ]
        for inbox in self.readers:
            live(inbox)

    async def grow(self, first: int, *, count: int = 1, user: UUID = ME) -> None:
        """Events of mine are announced with their bytes; stored they are already."""
        texts = [event_json(an_event(first + n)) for n in range(count)]
        new = NewEvents(user, EPOCH, first, time.time(), tuple(map(msgspec.Raw, texts)))
        self.follower.on_notification(Notification(ELSEWHERE, grown=(new,)))
        await wait_all_tasks_blocked()

    async def announce(self, **heads: int) -> None:
        named = {"me": ME, "you": YOU}
        grown_to = {named[name]: seq for name, seq in heads.items()}
        self.follower.on_notification(Notification(ELSEWHERE, heads=grown_to))
        await wait_all_tasks_blocked()


@pytest.fixture
async def scene(nursery: trio.Nursery, autojump_clock: MockClock) -> AsyncIterator[Scene]:
    autojump_clock.autojump_threshold = float("inf")
    with ExitStack() as stack:
        scene = Scene(stack)
        nursery.start_soon(scene.follower.run)
        await wait_all_tasks_blocked()
        scene.journal.looks = 0
        yield scene


async def seqs(inbox: Inbox) -> list[int]:
    return [frame.seq for frame in await inbox.take()]


async def test_all_readers_of_all_users_share_one_read(
    scene: Scene, autojump_clock: object
) -> None:
    scene.journal.store(ME, 3)
    scene.journal.store(YOU, 2)
    await scene.announce(me=3, you=2)
    assert [await seqs(reader) for reader in scene.readers] == [[1, 2, 3], [1, 2, 3], [1, 2]]
    assert scene.journal.reads == [{ME: 0, YOU: 0}]
    first, second, _ = scene.readers
    await scene.announce(me=3, you=2)  # announced again, and once more
    await scene.announce(me=2)
    assert len(scene.journal.reads) == 1
    assert not first.behind
    assert not second.behind


async def test_announced_events_need_no_read(scene: Scene, autojump_clock: object) -> None:
    scene.journal.store(ME, 4)
    await scene.grow(1)
    await scene.grow(1)  # twice
    await scene.grow(2, count=3)
    await scene.grow(3)  # late
    assert [await seqs(reader) for reader in scene.readers[:2]] == [[1, 2, 3, 4]] * 2
    assert scene.journal.reads == []
    assert not scene.readers[2].behind


async def test_events_missing_before_the_announced_ones_are_read_once_for_all(
    scene: Scene, autojump_clock: object
) -> None:
    scene.journal.store(ME, 4)
    await scene.grow(1)
    await scene.grow(4)
    assert [await seqs(reader) for reader in scene.readers[:2]] == [[1, 2, 3, 4]] * 2
    assert scene.journal.reads == [{ME: 1}]


async def test_a_position_without_events_is_read(scene: Scene, autojump_clock: object) -> None:
    scene.journal.store(ME, 4)
    scene.follower.on_notification(
        Notification(ELSEWHERE, grown=(NewEvents(ME, EPOCH, 5, time.time()),))
    )
    await wait_all_tasks_blocked()
    assert [await seqs(reader) for reader in scene.readers[:2]] == [[1, 2, 3, 4]] * 2
    assert scene.journal.reads == [{ME: 0}]


async def test_announced_events_of_a_user_without_readers_are_ignored(
    scene: Scene, autojump_clock: object
) -> None:
    await scene.grow(1, user=uuid4())
    assert scene.journal.reads == []
    assert scene.follower._heads == {}


async def test_a_reader_that_starts_or_catches_up_gets_announced_events_from_where_it_is(
    scene: Scene, autojump_clock: object
) -> None:
    scene.journal.store(ME, 2)
    with scene.hub.subscribe(YOU, uuid4(), "here") as starter:
        scene.readers[2].fall_behind()
        scene.readers[2].begin_read()
        await scene.grow(1, count=2, user=YOU)
        assert starter.behind  # it does not know its position yet
        scene.readers[2].finish_read()
        assert await seqs(scene.readers[2]) == [1, 2]
    assert scene.journal.reads == []


async def test_streams_with_announcements_that_may_be_missing_are_looked_up(
    scene: Scene, autojump_clock: object
) -> None:
    scene.journal.store(ME, 2)
    scene.journal.store(YOU, 2)
    stranger = uuid4()  # without a reader here
    scene.follower.on_notification(Notification(ELSEWHERE, missed={ME, stranger}))
    await wait_all_tasks_blocked()
    assert [await seqs(reader) for reader in scene.readers[:2]] == [[1, 2], [1, 2]]
    assert (scene.journal.looks, scene.journal.reads) == (1, [{ME: 0}])
    scene.journal.away = True
    scene.follower.on_notification(Notification(ELSEWHERE, missed={YOU}))
    await wait_all_tasks_blocked()
    assert scene.journal.looks == 2  # what failed is looked up with the rest, soon


async def test_a_starting_reader_learns_of_remote_events(
    scene: Scene, autojump_clock: object
) -> None:
    with scene.hub.subscribe(YOU, uuid4(), "here") as starter:
        await scene.announce(me=3)
        assert not starter.behind
        scene.readers[2].fall_behind()
        await scene.announce(you=1)
        assert starter.behind
        assert scene.journal.reads[1:] == []  # it reads for itself, once it knows from where
        starter.start(EPOCH, 0, 0)
        assert starter.behind


async def test_no_remote_read_while_a_reader_catches_up(
    scene: Scene, autojump_clock: MockClock
) -> None:
    for reader in scene.readers:
        reader.fall_behind()
        reader.begin_read()
    scene.journal.store(ME, 3)
    autojump_clock.jump(POLL_INTERVAL)
    await wait_all_tasks_blocked()
    assert [reader.behind for reader in scene.readers] == [False] * 3
    await scene.announce(me=3)  # its read may have been before that: it looks again
    assert [reader.behind for reader in scene.readers] == [True, True, False]
    assert scene.journal.reads == []


async def test_notifications_for_users_without_readers_are_ignored(
    scene: Scene, autojump_clock: object
) -> None:
    for _ in range(10):
        scene.follower.on_notification(Notification(ELSEWHERE, heads={uuid4(): 7}))
        await wait_all_tasks_blocked()
    assert scene.journal.reads == []
    assert scene.follower._heads == {}


async def test_events_missing_from_a_read_send_readers_to_the_journal(
    scene: Scene, autojump_clock: object
) -> None:
    scene.journal.page = 2
    scene.journal.store(ME, 5)
    scene.journal.store(YOU, 2)
    await scene.announce(me=5, you=2)
    assert [reader.behind for reader in scene.readers] == [True, True, False]


async def test_trimmed_events_send_readers_to_the_journal(
    scene: Scene, autojump_clock: object
) -> None:
    await scene.announce(me=5)  # trimmed before it could be read: nothing is there
    assert [reader.behind for reader in scene.readers] == [True, True, False]


async def test_a_commit_here_while_the_read_is_under_way_is_delivered_once(
    scene: Scene, autojump_clock: object
) -> None:
    scene.journal.store(ME, 2)
    scene.follower.on_notification(Notification(ELSEWHERE, heads={ME: 1}))
    scene.hub.publish(ME, a_batch(1, 2))
    await wait_all_tasks_blocked()
    assert [await seqs(reader) for reader in scene.readers[:2]] == [[1, 2], [1, 2]]


async def test_unannounced_events_are_found_by_polling(
    scene: Scene, autojump_clock: MockClock
) -> None:
    scene.journal.store(ME, 2)
    autojump_clock.jump(POLL_INTERVAL)
    await wait_all_tasks_blocked()
    assert [await seqs(reader) for reader in scene.readers[:2]] == [[1, 2], [1, 2]]
    assert scene.journal.reads == [{ME: 0}]


async def test_an_overflow_polls_soon_and_never_twice_at_once(
    scene: Scene, autojump_clock: MockClock
) -> None:
    autojump_clock.jump(MIN_POLL_INTERVAL)
    for _ in range(50):
        scene.journal.store(ME, 1)
        scene.follower.on_notification(Notification(ELSEWHERE, everything=True))
        await wait_all_tasks_blocked()
    assert scene.journal.looks == 1
    autojump_clock.jump(MIN_POLL_INTERVAL)
    await wait_all_tasks_blocked()
    assert scene.journal.looks == 2
    assert await seqs(scene.readers[0]) == list(range(1, 51))


async def test_after_an_outage_the_next_poll_finds_everything(
    scene: Scene, autojump_clock: MockClock
) -> None:
    scene.journal.away = True
    scene.journal.store(ME, 2)
    await scene.announce(me=1)
    for _ in range(20):
        autojump_clock.jump(RETRY_INTERVAL)
        await wait_all_tasks_blocked()
    scene.journal.away = False
    autojump_clock.jump(RETRY_INTERVAL)
    await wait_all_tasks_blocked()
    assert [await seqs(reader) for reader in scene.readers[:2]] == [[1, 2], [1, 2]]
