"""Processes that share a room, or a database, and what each hears of the others.

A backplane joins the contract (`integration/realtime/test_backplane.py`) by a line in `WAYS`.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from typing import NamedTuple
from uuid import UUID, uuid4

import pytest
import trio

from relay.config.parsers import signing_keys
from relay.config.valkey_address import valkey_address
from relay.db import presence as stored
from relay.db.pool import open_database
from relay.realtime import postgres_backplane, presence
from relay.realtime.announcements import channel_of
from relay.realtime.backplane import Backplane, LocalBackplane
from relay.realtime.encoding import CommittedEvents
from relay.realtime.hub import Hub
from relay.realtime.notification import NewEvents, Notification
from relay.realtime.postgres_backplane import PostgresBackplane
from relay.realtime.valkey import backplane as valkey_backplane
from relay.realtime.valkey import connection, nodes, processes, stream_counts, topology
from relay.realtime.valkey.backplane import ValkeyBackplane
from tests.support.hub_events import a_hub, an_event
from tests.support.patience import PATIENCE, eventually
from tests.support.tokens import KEYS


class Member:
    """A process's place, its streams, and what it heard there."""

    def __init__(self, hub: Hub, backplane: Backplane) -> None:
        self.hub = hub
        self.backplane = backplane
        self.grown: list[NewEvents] = []
        self.heads: dict[UUID, int] = {}
        self.revoked: set[UUID] = set()
        self.everything = 0
        self.missed: list[UUID] = []

    def on_notification(self, notification: Notification) -> None:
        self.grown += notification.grown
        self.heads |= notification.heads
        self.revoked |= notification.revoked
        self.everything += notification.everything
        self.missed += notification.missed

    def announce(self, user_id: UUID, *seqs: int, payload: str = "0") -> None:
        self.backplane.announce_events(user_id, committed(*seqs, payload=payload))

    def heard_of(self, user_id: UUID) -> list[int]:
        """The seqs of the events that came, in the order in which they came."""
        return [
            new.first + n
            for new in self.grown
            if new.user_id == user_id
            for n in range(len(new.texts))
        ]

    def position_of(self, user_id: UUID) -> int:
        """The last seq that is known of."""
        return max([new.last for new in self.grown if new.user_id == user_id], default=0)

    @contextmanager
    def reader_of(self, user_id: UUID) -> Iterator[None]:
        """A stream of the user, which is not attended yet."""
        with self.hub.subscribe(user_id, uuid4(), "here"):
            yield

    @asynccontextmanager
    async def attending(self, *user_ids: UUID) -> AsyncIterator[None]:
        """A stream of each user, as it is opened."""
        if not user_ids:
            yield
            return
        with self.reader_of(user_ids[0]):
            await self.backplane.attend(user_ids[0])
            async with self.attending(*user_ids[1:]):
                yield


def committed(*seqs: int, payload: str = "0") -> CommittedEvents:
    return CommittedEvents([an_event(seq, payload) for seq in seqs])


def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of streams are sent and looked at all the time; nothing is given up."""
    monkeypatch.setattr(presence, "WRITE_INTERVAL", 0.02)
    monkeypatch.setattr(presence, "READ_INTERVAL", 0.02)
    monkeypatch.setattr(presence, "LEAVE_TIMEOUT_SECONDS", PATIENCE)
    monkeypatch.setattr(postgres_backplane, "ATTEND_TIMEOUT_SECONDS", PATIENCE)
    monkeypatch.setattr(valkey_backplane, "ATTEND_TIMEOUT_SECONDS", PATIENCE)
    monkeypatch.setattr(valkey_backplane, "FAREWELL_SECONDS", PATIENCE)
    monkeypatch.setattr(nodes, "START_SECONDS", PATIENCE)
    monkeypatch.setattr(nodes, "CONNECT_TIMEOUT_SECONDS", PATIENCE)
    monkeypatch.setattr(topology, "LOOK_TIMEOUT_SECONDS", PATIENCE)
    monkeypatch.setattr(connection, "ANSWER_SECONDS", PATIENCE)
    monkeypatch.setattr(stream_counts, "WRITE_INTERVAL", 0.02)
    monkeypatch.setattr(stream_counts, "READ_INTERVAL", 0.02)


def kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process once seen counts for the whole test, also if all stand still for a while."""
    for module in (stored, presence, processes):
        monkeypatch.setattr(module, "ALIVE_SECONDS", 3600)


def users_apart(count: int) -> list[UUID]:
    """Users with a channel each."""
    found: dict[str, UUID] = {}
    while len(found) < count:
        user_id = uuid4()
        found[channel_of(user_id)] = user_id
    return list(found.values())


Join = Callable[[], AbstractAsyncContextManager[Member]]


@asynccontextmanager
async def running(member: Member) -> AsyncIterator[Member]:
    async with trio.open_nursery() as nursery:
        await nursery.start(member.backplane.run, member.on_notification)
        yield member
        nursery.cancel_scope.cancel()


def locally(_url: str) -> Join:
    peers: set[LocalBackplane] = set()

    @asynccontextmanager
    async def join() -> AsyncIterator[Member]:
        hub = a_hub()
        async with running(Member(hub, LocalBackplane(hub, peers))) as member:
            yield member

    return join


def by_postgres(url: str) -> Join:
    keys = signing_keys(KEYS)

    @asynccontextmanager
    async def join() -> AsyncIterator[Member]:
        hub = a_hub()
        async with (
            open_database(url, connections=4, timeout=PATIENCE) as database,
            running(Member(hub, PostgresBackplane(database, url, keys, hub))) as member,
        ):
            yield member

    return join


@asynccontextmanager
async def member_of(url: str) -> AsyncIterator[Member]:
    """One that has this address of a Valkey."""
    hub = a_hub()
    backplane = ValkeyBackplane(valkey_address(url), signing_keys(KEYS), hub)
    async with running(Member(hub, backplane)) as member:
        yield member


def by_valkey(url: str) -> Join:
    """Each call has channels of its own there."""
    return partial(member_of, f"{url}?prefix=test-{uuid4().hex}")


class Way(NamedTuple):
    """How processes are joined, and the fixture with the address of the server between them."""

    joined: Callable[[str], Join]
    fixture: str = ""

    def join(self, request: pytest.FixtureRequest) -> Join:
        return self.joined(request.getfixturevalue(self.fixture) if self.fixture else "")


WAYS = {
    "local": Way(locally),
    "postgres": Way(by_postgres, "database_url"),
    "valkey cluster": Way(by_valkey, "valkey_cluster_url"),
    "redis server": Way(by_valkey, "redis_url"),
}


async def met(teller: Member, *others: Member) -> None:
    """Tell, again and again, until the others hear it."""
    credential_id = uuid4()

    def heard() -> bool:
        teller.backplane.announce_revoked(credential_id)
        return all(credential_id in other.revoked for other in others)

    await eventually(heard)


async def heard_only_while_read(one: Member, two: Member, gone: UUID, kept: UUID) -> None:
    """`two` hears nothing of a user without a reader there any more, until one comes back."""
    one.announce(gone, 1)
    one.announce(kept, 1)
    await eventually(lambda: two.heard_of(kept) == [1])
    await met(one, two)
    assert two.heard_of(gone) == []
    async with two.attending(gone):
        one.announce(gone, 2)
        await eventually(lambda: two.heard_of(gone) == [2])


@asynccontextmanager
async def three(join: Join) -> AsyncIterator[tuple[Member, Member, Member]]:
    """Three that know of each other."""
    async with join() as one, join() as two, join() as other:
        for teller, *others in ((one, two, other), (two, one, other), (other, one, two)):
            await met(teller, *others)
        yield one, two, other


async def all_find(members: Iterable[Member], true: Callable[[Member], bool]) -> None:
    for member in members:
        await eventually(partial(true, member))
