"""Announcements are bounded, cover every change, and go only where they are read."""

from collections import defaultdict
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from relay.config.parsers import signing_keys
from relay.realtime.announcements import (
    BUCKETS,
    CHANNEL,
    MAX_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_TEXT_BYTES,
    MAX_USERS,
    Announcements,
    channel_of,
)
from relay.realtime.encoding import CommittedEvents
from relay.realtime.notification import MAX_ITEMS, Notification
from relay.realtime.process_ids import new_process_id
from relay.realtime.sealing import Sealer
from tests.support.hub_events import EPOCH, an_event
from tests.support.tokens import KEYS

SENDER = new_process_id()
SEALER = Sealer(signing_keys(KEYS), SENDER)
POSTGRES_REFUSES = 8_000  # bytes of one notification
USERS = [UUID(int=n) for n in (1, 2, 1 + BUCKETS)]  # the first and the last share a channel


def events(first: int, count: int = 1, size: int = 1, epoch: str = EPOCH) -> CommittedEvents:
    payload = '"' + "ä" * size + '"'
    return CommittedEvents([an_event(first + n, payload, epoch) for n in range(count)])


def sent(pending: Announcements, *, with_positions: bool = False) -> list[tuple[str, Notification]]:
    """What goes to which channel; each message is as large as NOTIFY takes."""
    found = []
    for channel, payload in pending.messages(SEALER, with_positions=with_positions):
        assert len(payload) < POSTGRES_REFUSES
        opened = payload if channel == CHANNEL else SEALER.open(payload)
        assert opened is not None
        notification = Notification.decode(opened)
        assert notification is not None
        assert notification.sender == SENDER
        found.append((channel, notification))
    return found


@given(
    commits=st.lists(
        st.tuples(
            st.sampled_from(USERS),
            st.sampled_from([1, 2, 50]),
            st.sampled_from([1, 300, 3_000, 30_000]),
            st.booleans(),
        ),
        max_size=40,
    ),
    revoked=st.lists(st.uuids(), max_size=2 * MAX_ITEMS),
    with_positions=st.booleans(),
)
def test_every_change_is_named_once_in_order_on_its_channel(
    commits: list[tuple[UUID, int, int, bool]], revoked: list[UUID], with_positions: bool
) -> None:
    pending, last = Announcements(SENDER), defaultdict[UUID, int](int)
    for user_id, count, size, another_commits_before in commits:
        first = last[user_id] + 1 + another_commits_before
        pending.add_events(user_id, events(first, count, size))
        last[user_id] = first + count - 1
    for credential_id in revoked:
        pending.add_revoked(credential_id)
    messages = sent(pending, with_positions=with_positions)
    named = [(channel, new) for channel, one in messages for new in one.grown]
    assert sorted(new.user_id for _, new in named) == sorted(last)
    for channel, new in named:
        assert channel == channel_of(new.user_id) != CHANNEL
        assert new.last == last[new.user_id]
        for seq, text in enumerate(new.texts, new.first):
            assert f'"seq":{seq},'.encode() in bytes(text)
    (to_all,) = [one for channel, one in messages if channel == CHANNEL] or [Notification(SENDER)]
    assert to_all.everything or to_all.revoked == set(revoked)
    assert to_all.everything is (
        len(set(revoked)) + (len(last) if with_positions else 0) > MAX_ITEMS
    )
    assert to_all.everything or to_all.heads == (dict(last) if with_positions else {})


def test_commits_that_follow_each_other_are_one_announcement() -> None:
    pending = Announcements(SENDER)
    for first in (1, 2, 4):
        pending.add_events(USERS[0], events(first, 2 if first == 2 else 1))
    ((channel, notification),) = sent(pending)
    (new,) = notification.grown
    assert (channel, new.first, new.last, len(new.texts)) == (channel_of(USERS[0]), 1, 4, 4)


def test_after_a_hole_or_in_a_new_epoch_the_position_alone_is_announced() -> None:
    for second in (events(3), events(2, epoch="f" * 20)):
        pending = Announcements(SENDER)
        pending.add_events(USERS[0], events(1))
        pending.add_events(USERS[0], second)
        ((_, notification),) = sent(pending)
        (new,) = notification.grown
        assert (new.epoch, new.last, new.texts) == (second.epoch, second.last, ())


def test_events_that_need_no_bytes_are_not_encoded() -> None:
    committed = events(1, 100, 10_000)
    Announcements(SENDER).add_events(USERS[0], committed)
    assert committed._encoded is None


def test_what_waits_is_bounded() -> None:
    pending = Announcements(SENDER)
    for _ in range(2 * MAX_USERS):
        pending.add_events(uuid4(), events(1, size=MAX_TEXT_BYTES // 3))
    assert pending._bytes <= MAX_BYTES
    messages = sent(pending)
    named = [new for _, one in messages for new in one.grown]
    assert len(named) == MAX_USERS
    assert 0 < len([new for new in named if new.texts]) < MAX_USERS
    assert messages[-1] == (CHANNEL, Notification(SENDER, everything=True))


def test_users_of_one_channel_share_a_message() -> None:
    pending = Announcements(SENDER)
    for user_id in USERS:
        pending.add_events(user_id, events(1))
    messages = sent(pending)
    assert sorted(len(one.grown) for _, one in messages) == [1, 2]
    assert channel_of(USERS[0]) == channel_of(USERS[2]) != channel_of(USERS[1])


def test_a_sealed_message_of_the_largest_size_is_what_notify_takes() -> None:
    largest = SEALER.seal(b"x" * MAX_PAYLOAD_BYTES)
    assert len(largest) < POSTGRES_REFUSES


def test_nothing_is_one_empty_message() -> None:
    assert sent(Announcements(SENDER)) == [(CHANNEL, Notification(SENDER))]


def test_a_users_channel_is_part_of_the_protocol() -> None:
    assert channel_of(UUID("018f0000-0000-7000-8000-00000000ffff")) == "relay_1023"
