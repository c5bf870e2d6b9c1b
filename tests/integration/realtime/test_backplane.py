"""One contract for every backplane: what one process announces, others hear where it is read.

A lost announcement is the business of `unit/realtime/test_connection.py`, and of the fault tests.
"""

from uuid import UUID, uuid4

import pytest

from relay.config.parsers import signing_keys
from relay.db.pool import Database
from relay.realtime.encoding import event_json
from relay.realtime.notification import Notification
from relay.realtime.sealing import Sealer
from tests.support.backplanes import (
    WAYS,
    Join,
    Member,
    all_find,
    committed,
    kept_alive,
    met,
    three,
    users_apart,
    without_pauses,
)
from tests.support.hub_events import EPOCH
from tests.support.patience import eventually
from tests.support.tokens import KEYS

LARGE = '"' + "x" * 20_000 + '"'  # more than one message holds


@pytest.fixture(autouse=True)
def _counts_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    without_pauses(monkeypatch)
    kept_alive(monkeypatch)


@pytest.fixture
def notifications(monkeypatch: pytest.MonkeyPatch) -> list[Notification]:
    """What is notified, from the moment that it is sent. In one memory nothing is."""
    notifications: list[Notification] = []
    execute = Database.execute

    async def recorded(database: Database, sql: str, *args: object) -> str:
        if "pg_notify" in sql:
            payloads = args[1]
            assert isinstance(payloads, list)
            sealer = Sealer(signing_keys(KEYS), uuid4())
            for payload in payloads:
                opened = payload if payload.startswith("{") else sealer.open(payload)
                notification = Notification.decode(opened or b"")
                assert notification is not None
                notifications.append(notification)
        return await execute(database, sql, *args)

    monkeypatch.setattr(Database, "execute", recorded)
    return notifications


@pytest.fixture(params=WAYS)
def join(request: pytest.FixtureRequest) -> Join:
    """Joins one more to those that share a room, or a server."""
    return WAYS[request.param].join(request)


async def test_events_come_as_bytes_to_every_other_process_that_reads_them(join: Join) -> None:
    me = uuid4()
    async with (
        three(join) as (one, two, other),
        one.attending(me),
        two.attending(me),
        other.attending(me),
    ):
        events = committed(7, 8, payload='{"ä":"\\u0000"}')
        one.backplane.announce_events(me, events)
        await all_find((two, other), lambda member: member.heard_of(me) == [7, 8])
        for member in (two, other):
            assert [bytes(text) for new in member.grown for text in new.texts] == [
                event_json(event) for event in events._events
            ]
            assert {(new.epoch, new.received_at) for new in member.grown} == {
                (EPOCH, events.received_at.timestamp())
            }
        await met(two, one)
        assert one.heard_of(me) == []  # its own


async def test_a_process_without_a_reader_hears_nothing_of_a_user(join: Join) -> None:
    me, you = users_apart(2)
    async with three(join) as (one, two, other), two.attending(me), other.attending(you):
        for seq in range(1, 21):
            one.announce(me, seq)
            one.announce(you, seq)
        await eventually(lambda: two.heard_of(me) == list(range(1, 21)))
        await eventually(lambda: other.heard_of(you) == list(range(1, 21)))
        await met(one, two, other)  # what was sent before would have come before this
        assert (two.heard_of(you), other.heard_of(me)) == ([], [])
        assert {new.user_id for new in [*two.grown, *other.grown]} == {me, you}


async def test_what_is_announced_after_attend_is_heard(join: Join) -> None:
    async with three(join) as (one, two, _):
        for user_id in users_apart(20):
            async with two.attending(user_id):
                one.announce(user_id, 1)
                await eventually(lambda: two.heard_of(user_id) == [1])  # noqa: B023
        assert two.everything == 0 or two.everything == 1  # its own start, and no late channel


async def test_every_process_sends_and_receives_in_order(join: Join) -> None:
    async with three(join) as members:
        grown = {member: uuid4() for member in members}
        one, two, other = members
        users = list(grown.values())
        async with one.attending(*users), two.attending(*users), other.attending(*users):
            for seq in range(1, 21):  # no more than one message holds
                for member, user_id in grown.items():
                    member.announce(user_id, seq)
            await all_find(
                members,
                lambda member: all(
                    member.heard_of(user_id) == ([] if teller is member else [*range(1, 21)])
                    for teller, user_id in grown.items()
                ),
            )


async def test_of_events_too_large_to_send_at_least_the_position_is_heard(join: Join) -> None:
    me = uuid4()
    async with three(join) as (one, two, _), two.attending(me):
        one.announce(me, 1)
        one.announce(me, 2, 3, payload=LARGE)
        one.announce(me, 4)
        await eventually(lambda: two.position_of(me) == 4)
        heard = two.heard_of(me)
        assert heard == sorted(set(heard))


async def test_a_revocation_reaches_every_process(join: Join) -> None:
    async with three(join) as (one, *others):
        credential_id = uuid4()
        one.backplane.announce_revoked(credential_id)
        await all_find(others, lambda member: credential_id in member.revoked)
        await met(others[0], one)
        assert credential_id not in one.revoked


async def test_a_flood_arrives_by_user_or_as_everything(
    join: Join, notifications: list[Notification]
) -> None:
    flood = [uuid4() for _ in range(3_000)]
    async with three(join) as (one, *others):
        two, other = others
        async with two.attending(*flood[:30]), other.attending(*flood[30:60]):
            notifications.clear()
            for member in others:
                member.everything = 0  # that was for all they missed before they listened
            for user_id in flood:  # never waits, and keeps no more than a bounded number
                one.announce(user_id, 1)
            await eventually(lambda: two.everything > 0 or set(flood[:30]) <= heard(two))
            await eventually(lambda: other.everything > 0 or set(flood[30:60]) <= heard(other))
            named = [new for notification in notifications for new in notification.grown]
            assert len(named) <= 2 * 1_024
            one.announce(flood[0], 2)  # afterwards events are heard again
            await eventually(lambda: 2 in two.heard_of(flood[0]))


def heard(member: Member) -> set[UUID]:
    return {new.user_id for new in member.grown}


async def test_remote_streams_count_until_closed_or_their_process_is_gone(
    join: Join,
) -> None:
    me, you = uuid4(), uuid4()

    def seen(by: Member) -> tuple[int, int]:
        return by.backplane.watchers(me), by.backplane.watchers(you)

    async with join() as here:
        async with join() as there, join() as yonder:
            with there.reader_of(me), here.reader_of(you):
                with there.reader_of(me), yonder.reader_of(me):
                    await eventually(lambda: seen(here) == (3, 0))
                    await eventually(lambda: seen(there) == (1, 1))
                await eventually(lambda: seen(here) == (1, 0))
                await eventually(lambda: seen(yonder) == (1, 1))
            with there.reader_of(me):
                await eventually(lambda: seen(here) == (1, 0))
        await eventually(lambda: seen(here) == (0, 0))


async def test_a_new_subscriber_is_notified_and_a_closed_one_is_not(join: Join) -> None:
    me = uuid4()
    async with join() as one:
        async with join() as newcomer, newcomer.attending(me):
            await met(one, newcomer)
        one.announce(me, 1)
        async with join() as later:
            await met(one, later)
        assert newcomer.heard_of(me) == []


async def test_a_single_process_sends_no_notification(
    join: Join, notifications: list[Notification]
) -> None:
    me = uuid4()
    async with join() as one, one.attending(me):
        for seq in range(1, 1_001):
            one.announce(me, seq)
            one.backplane.announce_revoked(uuid4())
        async with join() as other, other.attending(me):
            await met(one, other)  # what the first one sent would have come before this
            assert len(other.revoked) == 1
            assert (other.grown, other.heads) == ([], {})
        assert (one.grown, one.revoked) == ([], set())
    assert not any(
        notification.everything or notification.grown or len(notification.revoked) > 1
        for notification in notifications
    )
