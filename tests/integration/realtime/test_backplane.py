"""One contract for every backplane: what one process announces, the others receive."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from uuid import UUID, uuid4

import pytest
import trio

from relay.db.pool import Database, open_database
from relay.realtime import presence
from relay.realtime.backplane import Backplane, LocalBackplane
from relay.realtime.hub import Hub
from relay.realtime.notification import Notification
from relay.realtime.postgres_backplane import PostgresBackplane
from tests.support.patience import PATIENCE, eventually


class Member:
    """A process's place, its streams, and what it heard there."""

    def __init__(self, hub: Hub, backplane: Backplane) -> None:
        self.hub = hub
        self.backplane = backplane
        self.heads: dict[UUID, int] = {}
        self.revoked: set[UUID] = set()
        self.everything = False

    def on_notification(self, notification: Notification) -> None:
        self.heads |= notification.heads
        self.revoked |= notification.revoked
        self.everything |= notification.everything


Join = Callable[[], AbstractAsyncContextManager[Member]]


@pytest.fixture(autouse=True)
def _counts_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of streams are sent and looked at without a second's pause."""
    monkeypatch.setattr(presence, "WRITE_INTERVAL", 0.02)
    monkeypatch.setattr(presence, "READ_INTERVAL", 0.02)
    monkeypatch.setattr(presence, "LEAVE_TIMEOUT_SECONDS", PATIENCE)


@pytest.fixture
def notifications(monkeypatch: pytest.MonkeyPatch) -> list[Notification]:
    """What is notified, from the moment that it is sent. In one memory nothing is."""
    notifications: list[Notification] = []
    execute = Database.execute

    async def recorded(database: Database, sql: str, *args: object) -> str:
        if "pg_notify" in sql:
            notification = Notification.decode(str(args[1]))
            assert notification is not None
            notifications.append(notification)
        return await execute(database, sql, *args)

    monkeypatch.setattr(Database, "execute", recorded)
    return notifications


@pytest.fixture(params=["local", "postgres"])
def join(request: pytest.FixtureRequest) -> Join:
    """Joins one more to those that share a room, or a database."""
    peers: set[LocalBackplane] = set()
    url = request.getfixturevalue("database_url") if request.param == "postgres" else ""

    @asynccontextmanager
    async def local() -> AsyncIterator[Member]:
        hub = Hub(max_streams=100, max_streams_per_user=100, max_streams_per_address=100)
        async with running(Member(hub, LocalBackplane(hub, peers))) as member:
            yield member

    @asynccontextmanager
    async def postgres() -> AsyncIterator[Member]:
        hub = Hub(max_streams=100, max_streams_per_user=100, max_streams_per_address=100)
        async with (
            open_database(url, connections=4, timeout=PATIENCE) as database,
            running(Member(hub, PostgresBackplane(database, url, hub))) as member,
        ):
            yield member

    return postgres if url else local


@asynccontextmanager
async def running(member: Member) -> AsyncIterator[Member]:
    async with trio.open_nursery() as nursery:
        await nursery.start(member.backplane.run, member.on_notification)
        yield member
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def three(join: Join) -> AsyncIterator[tuple[Member, Member, Member]]:
    """Three that know of each other."""
    async with join() as one, join() as two, join() as other:
        for teller, *others in ((one, two, other), (two, one, other), (other, one, two)):
            await met(teller, *others)
        yield one, two, other


async def met(teller: Member, *others: Member) -> None:
    """Tell, again and again, until the others hear it."""
    user_id = uuid4()

    def heard() -> bool:
        teller.backplane.announce_head(user_id, 1)
        return all(user_id in other.heads for other in others)

    await eventually(heard)


async def all_find(members: Iterable[Member], true: Callable[[Member], bool]) -> None:
    for member in members:
        await eventually(partial(true, member))


async def test_a_notification_reaches_every_other_process_and_not_its_sender(join: Join) -> None:
    async with three(join) as (one, *others):
        user_id, credential_id = uuid4(), uuid4()
        one.backplane.announce_head(user_id, 7)
        one.backplane.announce_revoked(credential_id)
        await all_find(others, lambda member: member.heads.get(user_id) == 7)
        await all_find(others, lambda member: credential_id in member.revoked)
        await met(others[0], one)  # what the first one sent would have come before this
        assert user_id not in one.heads
        assert credential_id not in one.revoked


async def test_every_process_sends_and_receives(join: Join) -> None:
    async with three(join) as members:
        grown = {member: uuid4() for member in members}
        for member, user_id in grown.items():
            for seq in range(1, 51):
                member.backplane.announce_head(user_id, seq)
        await all_find(
            members,
            lambda member: all(
                member.heads.get(user_id) == (None if teller is member else 50)
                for teller, user_id in grown.items()
            ),
        )


async def test_a_flood_arrives_by_user_or_as_everything(
    join: Join, notifications: list[Notification]
) -> None:
    async with three(join) as (one, *others):
        notifications.clear()
        for member in others:
            member.everything = False  # that was for all they missed before they listened
        flood = {uuid4() for _ in range(5_000)}
        for user_id in flood:  # never waits, and keeps no more than one notification holds
            one.backplane.announce_head(user_id, 1)
        await all_find(others, lambda member: member.everything or flood <= member.heads.keys())
        assert (
            len(
                [
                    notification
                    for notification in notifications
                    if notification.everything or notification.heads.keys() & flood
                ]
            )
            <= 1
        )
        await met(one, *others)  # afterwards names are heard again


async def test_remote_streams_count_until_closed_or_their_process_is_gone(
    join: Join,
) -> None:
    me, you = uuid4(), uuid4()

    def seen(by: Member) -> tuple[int, int]:
        return by.backplane.watchers(me), by.backplane.watchers(you)

    async with join() as here:
        async with join() as there, join() as yonder:
            with there.hub.subscribe(me, uuid4(), "x"), here.hub.subscribe(you, uuid4(), "x"):
                with there.hub.subscribe(me, uuid4(), "x"), yonder.hub.subscribe(me, uuid4(), "x"):
                    await eventually(lambda: seen(here) == (3, 0))
                    await eventually(lambda: seen(there) == (1, 1))
                await eventually(lambda: seen(here) == (1, 0))
                await eventually(lambda: seen(yonder) == (1, 1))
            with there.hub.subscribe(me, uuid4(), "x"):
                await eventually(lambda: seen(here) == (1, 0))
        await eventually(lambda: seen(here) == (0, 0))


async def test_a_new_subscriber_is_notified_and_a_closed_one_is_not(join: Join) -> None:
    async with join() as one:
        async with join() as newcomer:
            await met(one, newcomer)
        user_id = uuid4()
        one.backplane.announce_head(user_id, 1)
        async with join() as later:
            await met(one, later)
        assert user_id not in newcomer.heads


async def test_a_single_process_sends_no_notification(
    join: Join, notifications: list[Notification]
) -> None:
    async with join() as one:
        for _ in range(1_000):
            one.backplane.announce_head(uuid4(), 1)
            one.backplane.announce_revoked(uuid4())
        async with join() as other:
            await met(one, other)  # what the first one sent would have come before this
            assert len(other.heads) == 1
            assert other.revoked == set()
        assert (one.heads, one.revoked) == ({}, set())
    assert not any(
        notification.everything or notification.revoked or len(notification.heads) > 1
        for notification in notifications
    )
