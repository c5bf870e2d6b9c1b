"""Notifications between processes are bounded, and cover every change."""

import json
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.events import MAX_SEQ
from relay.realtime.notification import MAX_ITEMS, Notification

ME = uuid4()
POSTGRES_REFUSES = 8_000  # bytes of one notification


@given(
    grown=st.lists(st.tuples(st.uuids(), st.integers(1, MAX_SEQ)), max_size=2 * MAX_ITEMS),
    ended=st.lists(st.uuids(), max_size=2 * MAX_ITEMS),
)
def test_every_change_is_named_or_covered_by_everything(
    grown: list[tuple[UUID, int]], ended: list[UUID]
) -> None:
    notification = Notification(ME)
    for user_id, seq in grown:
        notification.add_head(user_id, seq)
    for credential_id in ended:
        notification.add_revoked(credential_id)
    text = notification.encode()
    assert len(text.encode()) < POSTGRES_REFUSES
    decoded = Notification.decode(text)
    assert decoded == notification
    assert decoded is not None
    assert bool(decoded) is bool(grown or ended)
    for user_id, seq in grown:
        assert decoded.everything or decoded.heads[user_id] >= seq
    for credential_id in ended:
        assert decoded.everything or credential_id in decoded.revoked
    if len({user_id for user_id, _ in grown}) + len(set(ended)) <= MAX_ITEMS:
        assert not decoded.everything


def test_a_notification_never_exceeds_its_size() -> None:
    notification = Notification(ME)
    for _ in range(MAX_ITEMS):
        notification.add_head(uuid4(), MAX_SEQ)
    assert not notification.everything
    assert len(notification.encode()) < POSTGRES_REFUSES
    notification.add_revoked(uuid4())
    assert (notification.everything, notification.heads, notification.revoked) == (True, {}, set())


def test_messages_keep_their_field_names() -> None:
    """Processes of two versions share a database during an upgrade."""
    notification = Notification(ME, heads={ME: 7}, revoked={ME})
    assert json.loads(notification.encode()) == {
        "by": str(ME),
        "heads": {str(ME): 7},
        "ended": [str(ME)],
    }
    full = Notification(ME, everything=True)
    assert json.loads(full.encode()) == {"by": str(ME), "all": True}


def test_an_older_seq_does_not_replace_a_newer() -> None:
    user_id, notification = uuid4(), Notification(ME)
    for seq in (3, 7, 5):
        notification.add_head(user_id, seq)
    assert notification.heads == {user_id: 7}


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"by": 7}', '{"by":"x"}', "\0"])
def test_an_unknown_notification_is_rejected(text: str) -> None:
    assert Notification.decode(text) is None
